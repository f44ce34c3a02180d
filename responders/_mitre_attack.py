"""The MITRE ATT&CK techniques (Enterprise matrix) that the responders name.

Id, name and tactic are written here once; each responder says what a technique means for its
finding. Of several tactics, the one that is meant is named.
"""

from __future__ import annotations

from dataclasses import dataclass

from incident.model import Technique


@dataclass(frozen=True, slots=True)
class MitreTechnique:
    """A technique under one tactic. Called with what it means, it is the model's technique."""

    id: str
    name: str
    tactic: str

    @property
    def url(self) -> str:
        """Its page: sub-techniques lie below their technique."""
        return f"https://attack.mitre.org/techniques/{self.id.replace('.', '/')}/"

    def __call__(self, meaning: str) -> Technique:
        """The technique with what it means for a finding.

        ``{program}``, ``{file}`` and ``{workload}`` stand for what the finding is about.
        """
        return Technique(self.id, self.name, self.tactic, meaning, self.url)


_ACCESS, _CONTROL, _EVASION = "Credential Access", "Command and Control", "Defense Evasion"
_DISCOVERY, _EXECUTION, _EXFILTRATION = "Discovery", "Execution", "Exfiltration"
_ESCALATION, _IMPACT, _LATERAL = "Privilege Escalation", "Impact", "Lateral Movement"

ACCOUNT_MANIPULATION = MitreTechnique("T1098", "Account Manipulation", "Persistence")
ADDITIONAL_CLOUD_ROLES = MitreTechnique(
    "T1098.003", "Account Manipulation: Additional Cloud Roles", "Privilege Escalation"
)
COMMAND_OBFUSCATION = MitreTechnique(
    "T1027.010", "Obfuscated Files or Information: Command Obfuscation", _EVASION
)
COMPILE_AFTER_DELIVERY = MitreTechnique(
    "T1027.004", "Obfuscated Files or Information: Compile After Delivery", _EVASION
)
COMPUTE_HIJACKING = MitreTechnique("T1496.001", "Resource Hijacking: Compute Hijacking", _IMPACT)
CONTAINER_ADMINISTRATION = MitreTechnique("T1609", "Container Administration Command", _EXECUTION)
CONTAINER_DISCOVERY = MitreTechnique("T1613", "Container and Resource Discovery", _DISCOVERY)
CREDENTIALS_IN_FILES = MitreTechnique(
    "T1552.001", "Unsecured Credentials: Credentials In Files", _ACCESS
)
DATA_DESTRUCTION = MitreTechnique("T1485", "Data Destruction", _IMPACT)
DECODE = MitreTechnique("T1140", "Deobfuscate/Decode Files or Information", _EVASION)
ESCAPE_TO_HOST = MitreTechnique("T1611", "Escape to Host", _ESCALATION)
EXFILTRATION = MitreTechnique("T1048", "Exfiltration Over Alternative Protocol", _EXFILTRATION)
EXPLOIT_FOR_PRIVILEGES = MitreTechnique(
    "T1068", "Exploitation for Privilege Escalation", _ESCALATION
)
EXPLOIT_PUBLIC_APPLICATION = MitreTechnique(
    "T1190", "Exploit Public-Facing Application", "Initial Access"
)
FILE_DELETION = MitreTechnique("T1070.004", "Indicator Removal: File Deletion", _EVASION)
FILE_DISCOVERY = MitreTechnique("T1083", "File and Directory Discovery", _DISCOVERY)
HIJACK_FLOW = MitreTechnique("T1574", "Hijack Execution Flow", _EVASION)
IMPLANT_IMAGE = MitreTechnique("T1525", "Implant Internal Image", "Persistence")
INGRESS_TOOL_TRANSFER = MitreTechnique("T1105", "Ingress Tool Transfer", _CONTROL)
LATERAL_TOOL_TRANSFER = MitreTechnique("T1570", "Lateral Tool Transfer", _LATERAL)
NATIVE_API = MitreTechnique("T1106", "Native API", _EXECUTION)
NON_APPLICATION_PROTOCOL = MitreTechnique("T1095", "Non-Application Layer Protocol", _CONTROL)
PRIVATE_KEYS = MitreTechnique("T1552.004", "Unsecured Credentials: Private Keys", _ACCESS)
PROXY = MitreTechnique("T1090", "Proxy", _CONTROL)
PYTHON = MitreTechnique("T1059.006", "Command and Scripting Interpreter: Python", _EXECUTION)
REFLECTIVE_LOADING = MitreTechnique("T1620", "Reflective Code Loading", _EVASION)
SERVERLESS_EXECUTION = MitreTechnique("T1648", "Serverless Execution", _EXECUTION)
SERVICE_DISCOVERY = MitreTechnique("T1046", "Network Service Discovery", _DISCOVERY)
SHARED_MODULES = MitreTechnique("T1129", "Shared Modules", _EXECUTION)
STEAL_TOKEN = MitreTechnique("T1528", "Steal Application Access Token", _ACCESS)
STEGANOGRAPHY = MitreTechnique("T1001.002", "Data Obfuscation: Steganography", _CONTROL)
SUDO = MitreTechnique(
    "T1548.003",
    "Abuse Elevation Control Mechanism: Sudo and Sudo Caching",
    _ESCALATION,
)
SUPPLY_CHAIN = MitreTechnique(
    "T1195.002", "Supply Chain Compromise: Compromise Software Supply Chain", "Initial Access"
)
SYSTEM_DISCOVERY = MitreTechnique("T1082", "System Information Discovery", _DISCOVERY)
UNIX_SHELL = MitreTechnique(
    "T1059.004", "Command and Scripting Interpreter: Unix Shell", _EXECUTION
)
