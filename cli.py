"""The operator's commands from a checkout that is not installed: ``python cli.py COMMAND``."""

from __future__ import annotations

from cloud_run_responder import main

if __name__ == "__main__":
    main()
