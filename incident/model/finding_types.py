"""Finding types on Cloud Run: each detector's API name and the spellings of its category. Pure.

Categories and API names are those of Google's overview of Cloud Run Threat Detection (April 2026)
and of its newer list of Cloud Run threats. Where Google's pages spell a category in several ways,
all of them are one type. An API name in a finding's ``moduleName`` or ``sourceProperties``
identifies a type whose category is spelled in yet another way. That these fields hold it is not
documented: so the new spelling must share a word with the type that the API name stands for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

CLOUD_RUN_THREAT_DETECTION = "Cloud Run Threat Detection"
EVENT_THREAT_DETECTION = "Event Threat Detection"

_CUPS = "Execution: Possible Arbitrary Command Execution through CUPS"
_SUDO_RULE = "Privilege Escalation: Abuse of Sudo For Privilege Escalation (CVE-2019-14287)"
_POLKIT = "Privilege Escalation: Polkit Local Privilege Escalation Vulnerability (CVE-2021-4034)"
_SUDO_OVERFLOW = "Privilege Escalation: Sudo Potential Privilege Escalation (CVE-2021-3156)"
_SET_IAM_POLICY = "Privilege Escalation: Default Compute Engine Service Account SetIAMPolicy"
_MINING_COMMANDS = "Impact: Cryptomining Commands"
_MINING_IMAGE = "Execution: Cryptomining Docker Image"
_CONTROL_PLANE_CATEGORIES = frozenset({_MINING_COMMANDS, _MINING_IMAGE, _SET_IAM_POLICY})
#: By API name, without its prefix ``CLOUD_RUN_``: the documented category, then other spellings.
_CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "STEGANOGRAPHY_TOOL_DETECTED": ("Command and Control: Steganography Tool Detected",),
    "FIND_GCP_CREDENTIALS": (
        "Credential Access: Find Google Cloud Credentials",
        "Command and Control: Find Google Cloud Credentials",
    ),
    "GPG_KEY_RECONNAISSANCE": ("Credential Access: GPG Key Reconnaissance",),
    "SEARCH_PRIVATE_KEYS_OR_PASSWORDS": ("Credential Access: Search Private Keys or Passwords",),
    "BASE64_ELF_FILE_CMDLINE": ("Defense Evasion: Base64 ELF File Command Line",),
    "BASE64_ENCODED_PYTHON_SCRIPT_EXECUTED": (
        "Defense Evasion: Base64 Encoded Python Script Executed",
    ),
    "BASE64_ENCODED_SHELL_SCRIPT_EXECUTED": (
        "Defense Evasion: Base64 Encoded Shell Script Executed",
    ),
    "LAUNCH_CODE_COMPILER_TOOL_IN_CONTAINER": (
        "Defense Evasion: Launch Code Compiler Tool In Container",
    ),
    "ADDED_MALICIOUS_BINARY_EXECUTED": ("Execution: Added Malicious Binary Executed",),
    "ADDED_MALICIOUS_LIBRARY_LOADED": ("Execution: Added Malicious Library Loaded",),
    "BUILT_IN_MALICIOUS_BINARY_EXECUTED": ("Execution: Built in Malicious Binary Executed",),
    "CONTAINER_ESCAPE": ("Execution: Container Escape",),
    "FILELESS_EXECUTION_DETECTION_MEMFD": ("Execution: Fileless Execution in /memfd:",),
    "KUBERNETES_ATTACK_TOOL_EXECUTION": ("Execution: Kubernetes Attack Tool Execution",),
    "LOCAL_RECONNAISSANCE_TOOL_EXECUTION": ("Execution: Local Reconnaissance Tool Execution",),
    "MALICIOUS_PYTHON_EXECUTED": ("Execution: Malicious Python executed",),
    "MODIFIED_MALICIOUS_BINARY_EXECUTED": ("Execution: Modified Malicious Binary Executed",),
    "MODIFIED_MALICIOUS_LIBRARY_LOADED": ("Execution: Modified Malicious Library Loaded",),
    "NETCAT_REMOTE_CODE_EXECUTION_IN_CONTAINER": (
        "Execution: Netcat Remote Code Execution in Container",
    ),
    "POSSIBLE_ARBITRARY_COMMAND_EXECUTION_THROUGH_CUPS": (
        f"{_CUPS} (CVE-2024-47076)",
        f"{_CUPS} (CVE-2024-47177)",
    ),
    "POSSIBLE_REMOTE_COMMAND_EXECUTION_DETECTED": (
        "Execution: Possible Remote Command Execution Detected",
    ),
    "PROGRAM_RUN_WITH_DISALLOWED_HTTP_PROXY_ENV": (
        "Execution: Program Run with Disallowed HTTP Proxy Env",
    ),
    "SOCAT_REVERSE_SHELL_DETECTED": ("Execution: Socat Reverse Shell Detected",),
    "SUSPICIOUS_OPENSSL_SHARED_OBJECT_LOADED": (
        "Execution: Suspicious OpenSSL Shared Object Loaded",
    ),
    "LAUNCH_REMOTE_FILE_COPY_TOOLS_IN_CONTAINER": (
        "Exfiltration: Launch Remote File Copy Tools in Container",
    ),
    "DETECT_MALICIOUS_CMDLINES": ("Impact: Detect Malicious Cmdlines",),
    "REMOVE_BULK_DATA_FROM_DISK": ("Impact: Remove Bulk Data From Disk",),
    "SUSPICIOUS_CRYPTO_MINING_ACTIVITY_USING_STRATUM_PROTOCOL": (
        "Impact: Suspicious cryptocurrency mining activity using the Stratum Protocol",
        "Impact: Suspicious crypto mining activity using the Stratum Protocol",
    ),
    "MALICIOUS_SCRIPT_EXECUTED": ("Malicious Script Executed",),
    "MALICIOUS_URL_OBSERVED": ("Malicious URL Observed",),
    "ABUSE_SUDO_FOR_PRIVILEGE_ESCALATION": (_SUDO_RULE,),
    "POLKIT_LOCAL_PRIVILEGE_ESCALATION_VULNERABILITY": (_POLKIT,),
    "SUDO_POTENTIAL_PRIVILEGE_ESCALATION": (_SUDO_OVERFLOW,),
    "REVERSE_SHELL": ("Reverse Shell",),
    "UNEXPECTED_CHILD_SHELL": ("Unexpected Child Shell",),
    "JOBS_CRYPTOMINING_COMMANDS": (_MINING_COMMANDS,),
    "CRYPTOMINING_DOCKER_IMAGES": (_MINING_IMAGE,),
    "SERVICES_SET_IAM_POLICY": (_SET_IAM_POLICY,),
}
#: By API name, as Google spells it: the documented category, then its other spellings.
CATEGORIES_BY_API_NAME = {f"CLOUD_RUN_{name}": texts for name, texts in _CATEGORIES.items()}
#: Words of several finding types, and of tactics, by their first letters.
_COMMON_WORDS = frozenset(
    word[:6]
    for word in (
        *("access", "cloud", "command", "container", "control", "credential", "defense"),
        *("detected", "escalation", "evasion", "executed", "exfiltration", "impact"),
        *("loaded", "malicious", "privilege", "with"),
    )
)
#: A category as Google spells them. A known one in other letters or with spaces around it is none:
#: nothing is normalised into what a policy names.
_CATEGORY = re.compile(r"[A-Z][A-Za-z0-9 ,()/:'-]*[A-Za-z0-9)]")
_CATEGORIES_BY_SPELLING = {text: texts for texts in _CATEGORIES.values() for text in texts}


def documented_detector(category: str) -> str:
    """Display name of the detector that reports a category; the runtime detector's if unknown."""
    control_plane = category in _CONTROL_PLANE_CATEGORIES
    return EVENT_THREAT_DETECTION if control_plane else CLOUD_RUN_THREAT_DETECTION


def categories_of_type(category: str, api_name: str = "") -> tuple[str, ...]:
    """Every known spelling of a finding's type, the documented one first.

    Args:
        category: The category as the finding has it; a known one decides.
        api_name: The detector's API name as the finding has it; empty where it has none.

    Returns:
        The category alone where neither is known, where both have no word in common, or where
        the category is not spelled as Google spells categories.
    """
    if known := _CATEGORIES_BY_SPELLING.get(category):
        return known
    named = CATEGORIES_BY_API_NAME.get(api_name, ())
    if _CATEGORY.fullmatch(category) and _words(category) & _words(f"{' '.join(named)} {api_name}"):
        return (*named, category)
    return (category,)


def _words(text: str) -> frozenset[str]:
    """The words that tell finding types apart, by their first letters: plurals are equal."""
    words = re.findall("[a-z]{4,}", text.lower())
    return frozenset(word[:6] for word in words) - _COMMON_WORDS
