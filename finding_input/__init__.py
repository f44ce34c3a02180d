"""Findings as people have them in files: what `emulator run`, `replay` and `policy check` take.

Knows forms only, neither the product nor the emulator, so that both read the same forms. What
arrives on the topic is read by the product alone, which takes notifications and nothing else.
"""
