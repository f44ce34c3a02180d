"""Defense Evasion: code that hides from scanners of files and command lines."""

from __future__ import annotations

from responders import _mitre_attack as attack
from responders._investigation_steps import (
    ENTRY_POINT,
    IMAGE,
    PARENT_PROCESS,
    RELATED,
    SERVICE_ACCOUNT,
)
from responders._table_row import CONTAIN, HOLD, ResponderRow

TABLE = (
    ResponderRow(
        "base64-elf-file",
        ("Defense Evasion: Base64 ELF File Command Line",),
        "was started with a whole executable, in base64, as an argument",
        CONTAIN,
        "no build or framework passes executables on a command line; who does has only a shell",
        (
            attack.COMMAND_OBFUSCATION(
                "the executable came to {program} as text, past what scans files"
            ),
            attack.DECODE("it is decoded inside {workload}: its hash is that of what comes out"),
            attack.INGRESS_TOOL_TRANSFER(
                "a program that the image of {workload} lacks was brought in so"
            ),
        ),
        (
            "the argument: decode it outside the workload, and hash what comes out",
            PARENT_PROCESS,
            ENTRY_POINT,
            SERVICE_ACCOUNT,
        ),
    ),
    ResponderRow(
        "base64-python-script",
        ("Defense Evasion: Base64 Encoded Python Script Executed",),
        "was started with a Python script, in base64, as an argument",
        HOLD,
        "deployment and data tools pass small scripts to workers in the same way",
        (
            attack.COMMAND_OBFUSCATION(
                "what {program} was given to run is not readable in the process list"
            ),
            attack.PYTHON("Python does the work in {workload}: no other program need show"),
        ),
        (
            "the argument: decode it outside the workload, and read it",
            PARENT_PROCESS,
            RELATED,
        ),
    ),
    ResponderRow(
        "base64-shell-script",
        ("Defense Evasion: Base64 Encoded Shell Script Executed",),
        "was started with a shell script, in base64, as an argument",
        HOLD,
        "entry points and orchestration tools pass scripts in base64 to spare the quoting",
        (
            attack.COMMAND_OBFUSCATION(
                "what {program} was given to run is not readable in the process list"
            ),
            attack.UNIX_SHELL("a shell in {workload} runs what is decoded"),
        ),
        (
            "the argument: decode it outside the workload, and read it",
            "the container's command and arguments in the settings: is the script yours",
            PARENT_PROCESS,
            RELATED,
        ),
    ),
    ResponderRow(
        "code-compiler",
        ("Defense Evasion: Launch Code Compiler Tool In Container",),
        "was executed: a compiler, in a container that should only run",
        HOLD,
        "interpreters that build extensions at start, and images with tools left in, do the same",
        (
            attack.COMPILE_AFTER_DELIVERY(
                "{program} may build a tool inside {workload}: no scan of the image saw it"
            ),
        ),
        (
            "the arguments: what was compiled, from where to where",
            "whether it happened at the start of an instance, as builds at start do",
            IMAGE,
            RELATED,
        ),
    ),
)

RESPONDERS = tuple(row.responder() for row in TABLE)
