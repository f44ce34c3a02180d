"""The runtime detectors of Cloud Run Threat Detection that need no reading of their own: a table.

The finding types are those of Google's overview of Cloud Run Threat Detection, as of April 2026,
spelled as there. Two are spelled in another way elsewhere in Google's documentation, and answer
to both. That findings carry just these texts is likely and was not observed; what is spelled
otherwise is an unknown type, which is investigated and held. The verdicts are our judgement:
``contain`` where it means that hostile code runs, ``hold`` where honest software does the same.
"""

from __future__ import annotations

from incident.model import Verdict
from responders import _attack as attack
from responders._row import Row

CONTAIN, HOLD = Verdict.CONTAIN, Verdict.HOLD

_RELATED = "related findings near in time: alone it may be a bad practice, among others it is not"
_WAY_IN = "the way in: requests and log lines just before the event"
_ACCOUNT = "what the runtime service account did since, in the audit log: its tokens may be taken"
_PARENT = "the parent process and the user id: what started it, and as whom"
_IMAGE = "the image: whether the program belongs in it, and who built and deployed it"

TABLE = (
    # Command and Control
    Row(
        "steganography-tool",
        ("Command and Control: Steganography Tool Detected",),
        "was executed: it hides data in pictures and other harmless files",
        HOLD,
        "services that watermark or check media run the same tools",
        (
            attack.STEGANOGRAPHY(
                "orders may come in, and stolen data go out, inside files that look harmless"
            ),
        ),
        (
            "the arguments: which file carries, and which is hidden",
            "whether the workload handles media at all",
            "uploads and downloads around the event, in the request log",
            _RELATED,
        ),
    ),
    # Credential Access
    Row(
        "find-google-cloud-credentials",
        ("Credential Access: Find Google Cloud Credentials",),
        "searched for Google Cloud keys, passwords or other credentials",
        HOLD,
        "start scripts and scanners of the image's own look for key files too",
        (
            attack.CREDENTIALS_IN_FILES("key files of service accounts are being looked for"),
            attack.STEAL_TOKEN("whoever searches here can also ask the metadata server for tokens"),
        ),
        (
            "the arguments: what was searched for, and where",
            _PARENT,
            _ACCOUNT,
            _RELATED,
        ),
    ),
    Row(
        "gpg-key-reconnaissance",
        ("Credential Access: GPG Key Reconnaissance",),
        "searched for GPG keys",
        HOLD,
        "package managers and signing jobs list keys as part of their work",
        (attack.PRIVATE_KEYS("keys that decrypt or sign for you are being looked for"),),
        (
            "whether private keys are in the image or mounted at all; if so, revoke them",
            "the arguments: listing public keys is harmless, exporting secret ones is not",
            _PARENT,
            _RELATED,
        ),
    ),
    Row(
        "search-private-keys-or-passwords",
        ("Credential Access: Search Private Keys or Passwords",),
        "searched for private keys, passwords or other credentials",
        HOLD,
        "secret scanners and certificate scripts search the same files",
        (
            attack.PRIVATE_KEYS("private keys are being looked for"),
            attack.CREDENTIALS_IN_FILES("passwords in files are being looked for"),
        ),
        (
            "the arguments: what was searched for, and where",
            "which secrets are in reach, as files and in the environment: they may be known now",
            _PARENT,
            _RELATED,
        ),
    ),
    # Defense Evasion
    Row(
        "base64-elf-file",
        ("Defense Evasion: Base64 ELF File Command Line",),
        "was started with a whole executable, in base64, as an argument",
        CONTAIN,
        "no build or framework passes executables on a command line; who does has only a shell",
        (
            attack.COMMAND_OBFUSCATION("the executable travels as text, past what scans files"),
            attack.DECODE("it is decoded inside the container"),
            attack.INGRESS_TOOL_TRANSFER("a program that the image lacks was brought in so"),
        ),
        (
            "the argument: decode it outside the workload, and hash what comes out",
            _PARENT,
            _WAY_IN,
            _ACCOUNT,
        ),
    ),
    Row(
        "base64-python-script",
        ("Defense Evasion: Base64 Encoded Python Script Executed",),
        "was started with a Python script, in base64, as an argument",
        HOLD,
        "deployment and data tools pass small scripts to workers in the same way",
        (
            attack.COMMAND_OBFUSCATION("the script is not readable in the process list"),
            attack.PYTHON("what it does, Python does: no other program need show"),
        ),
        (
            "the argument: decode it outside the workload, and read it",
            _PARENT,
            _RELATED,
        ),
    ),
    Row(
        "base64-shell-script",
        ("Defense Evasion: Base64 Encoded Shell Script Executed",),
        "was started with a shell script, in base64, as an argument",
        HOLD,
        "entry points and orchestration tools pass scripts in base64 to spare the quoting",
        (
            attack.COMMAND_OBFUSCATION("the script is not readable in the process list"),
            attack.UNIX_SHELL("the shell runs what it decodes"),
        ),
        (
            "the argument: decode it outside the workload, and read it",
            "the container's command and arguments in the settings: is the script yours",
            _PARENT,
            _RELATED,
        ),
    ),
    Row(
        "code-compiler",
        ("Defense Evasion: Launch Code Compiler Tool In Container",),
        "was executed: a compiler, in a container that should only run",
        HOLD,
        "interpreters that build extensions at start, and images with tools left in, do the same",
        (attack.COMPILE_AFTER_DELIVERY("a tool may be built here, so that no scan saw it before"),),
        (
            "the arguments: what was compiled, from where to where",
            "whether it happened at the start of an instance, as builds at start do",
            _IMAGE,
            _RELATED,
        ),
    ),
    # Execution
    Row(
        "added-malicious-binary",
        ("Execution: Added Malicious Binary Executed",),
        "was added after the container started, was executed, and matches a known malicious file",
        CONTAIN,
        "a known malicious file runs that the image does not have: somebody brought it in",
        (
            attack.INGRESS_TOOL_TRANSFER(
                "the file was brought into the running container: look for what else came with it"
            ),
            attack.NATIVE_API("it was started through the operating system's own calls"),
        ),
        (
            _WAY_IN,
            "the SHA-256 on VirusTotal: what the file is, and whom it talks to",
            "where it was written: on a mounted bucket or share it survives a restart",
            _ACCOUNT,
        ),
    ),
    Row(
        "built-in-malicious-binary",
        ("Execution: Built in Malicious Binary Executed",),
        "came with the image, was executed, and matches a known malicious file",
        CONTAIN,
        "the image itself carries a known malicious file: every instance of it runs hostile code",
        (
            attack.IMPLANT_IMAGE("the file is in the image: every new instance has it again"),
            attack.SUPPLY_CHAIN("a dependency or the build may have put it there"),
            attack.NATIVE_API("it was started through the operating system's own calls"),
        ),
        (
            "who built and pushed the image, and from what: the registry and the build's log",
            "where else the digest is deployed: each of those is affected",
            "which revision was the last one without it: a release alone brings the file back",
            "the SHA-256 on VirusTotal: what the file is, and whom it talks to",
        ),
    ),
    Row(
        "container-escape",
        ("Execution: Container Escape",),
        "was executed: a tool or a technique for breaking out of containers",
        CONTAIN,
        "no service breaks out of its container; who tries runs commands in it already",
        (
            attack.ESCAPE_TO_HOST(
                "it tries to reach what lies around the container; Cloud Run's second generation"
                " puts a virtual machine there"
            ),
        ),
        (
            "the process and its arguments: which technique, and whether it got anywhere",
            _WAY_IN,
            _ACCOUNT,
            "Google's support, if anything outside the container looks touched",
        ),
    ),
    Row(
        "fileless-execution-memfd",
        ("Execution: Fileless Execution in /memfd:",),
        "was executed from memory, without a file on disk",
        CONTAIN,
        "programs are run from memory to leave no file behind; few honest runtimes do so",
        (
            attack.REFLECTIVE_LOADING("the program was never a file that could be scanned"),
            attack.NATIVE_API("it was made and started with system calls alone"),
        ),
        (
            _PARENT,
            "whether the image has a runtime or a sandbox that starts its helpers from memory",
            _WAY_IN,
            "nothing on disk is left to examine: what the logs say is all there is",
        ),
    ),
    Row(
        "kubernetes-attack-tool",
        ("Execution: Kubernetes Attack Tool Execution",),
        "was executed: a tool for attacking Kubernetes",
        CONTAIN,
        "such a tool has no use in Cloud Run but to look for a way on",
        (
            attack.CONTAINER_ADMINISTRATION("it wants to run commands in other containers"),
            attack.CONTAINER_DISCOVERY("it maps clusters, pods and their permissions"),
        ),
        (
            "which clusters the workload reaches, by network and by its service account",
            "the audit logs of those clusters since the event",
            _WAY_IN,
            _ACCOUNT,
        ),
    ),
    Row(
        "local-reconnaissance-tool",
        ("Execution: Local Reconnaissance Tool Execution",),
        "was executed: a tool that maps a system and its weaknesses",
        CONTAIN,
        "threat intelligence knows the tool, and the image has no use for it: somebody is inside",
        (
            attack.SYSTEM_DISCOVERY("versions, users and weaknesses of the container are listed"),
            attack.SERVICE_DISCOVERY("what the container can reach may be scanned"),
        ),
        (
            "whether an announced penetration test is going on",
            "the arguments: what was looked for",
            _WAY_IN,
            _ACCOUNT,
        ),
    ),
    Row(
        "netcat-remote-code-execution",
        ("Execution: Netcat Remote Code Execution in Container",),
        "was executed: netcat, which can give a shell to the other end of a connection",
        HOLD,
        "entry points wait for databases with netcat; only some of its options give a shell",
        (
            attack.UNIX_SHELL("with -e or -c netcat hands a shell to whom it is connected with"),
            attack.NON_APPLICATION_PROTOCOL("the connection is bare TCP or UDP"),
        ),
        (
            "the arguments: -z only probes a port, -e and -c run a program",
            "the address: one of yours, or a stranger's",
            _PARENT,
            _RELATED,
        ),
    ),
    Row(
        "cups-command-execution",
        (
            "Execution: Possible Arbitrary Command Execution through CUPS (CVE-2024-47076)",
            # As the release notes of the same detector for GKE have it.
            "Execution: Possible Arbitrary Command Execution through CUPS (CVE-2024-47177)",
        ),
        "ran where the printing filter foomatic-rip starts a shell, as CVE-2024-47076 makes it do",
        HOLD,
        "the filter starts shells when it prints, and the exploit's way in, UDP port 631, is one"
        " that Cloud Run lets nobody use from outside",
        (
            attack.UNIX_SHELL("a printer's description can carry a command that the filter runs"),
            attack.EXPLOIT_PUBLIC_APPLICATION("the printing service is what would be exploited"),
        ),
        (
            "whether the workload prints at all, to PDF for example; if not, take CUPS out",
            "the arguments of the shell: a conversion, or something else",
            _RELATED,
        ),
    ),
    Row(
        "remote-command-execution",
        ("Execution: Possible Remote Command Execution Detected",),
        "was executed over a network connection, as a remote shell would",
        CONTAIN,
        "common commands take their orders from a socket: somebody types them elsewhere",
        (
            attack.UNIX_SHELL("commands are run for whoever holds the other end"),
            attack.NON_APPLICATION_PROTOCOL("the connection speaks no protocol of the service"),
        ),
        (
            "the command and its arguments: exploring, or taking something",
            _PARENT,
            _WAY_IN,
            _ACCOUNT,
        ),
    ),
    Row(
        "disallowed-http-proxy",
        ("Execution: Program Run with Disallowed HTTP Proxy Env",),
        "was executed with a proxy in its environment that is not allowed",
        HOLD,
        "proxies of one's own, and of build tools, are set by the same variables",
        (attack.PROXY("its traffic goes through somebody who can read it or hide its goal"),),
        (
            "the proxy's address, and whether your settings set it or something at run time did",
            "who deployed the revision that sets it, in the audit log",
            _RELATED,
        ),
    ),
    Row(
        "socat-reverse-shell",
        ("Execution: Socat Reverse Shell Detected",),
        "was executed so as to connect a shell to a remote host",
        CONTAIN,
        "a shell whose input and output are a network connection is a remote control",
        (
            attack.UNIX_SHELL("whoever holds the other end types into it"),
            attack.NON_APPLICATION_PROTOCOL("socat carries it over bare TCP, perhaps with TLS"),
        ),
        (
            "the address in the arguments: look for it in all your networks",
            _PARENT,
            _WAY_IN,
            _ACCOUNT,
        ),
    ),
    Row(
        "suspicious-openssl-library",
        ("Execution: Suspicious OpenSSL Shared Object Loaded",),
        "made OpenSSL load a shared object of its own",
        HOLD,
        "engines for hardware keys and for Cloud KMS are loaded in the same way",
        (
            attack.SHARED_MODULES("a library runs its code inside a program that is trusted"),
            attack.HIJACK_FLOW("where OpenSSL's own library was replaced, all of TLS is theirs"),
        ),
        (
            "the arguments: which file was loaded, and whether the image has it",
            "whether the workload uses an engine or a provider on purpose",
            _PARENT,
            _RELATED,
        ),
    ),
    # Exfiltration
    Row(
        "remote-file-copy",
        ("Exfiltration: Launch Remote File Copy Tools in Container",),
        "was executed: a tool that copies files to or from other hosts",
        HOLD,
        "rsync, scp and their like are everyday tools of jobs that move data",
        (
            attack.EXFILTRATION("data may leave by a protocol that nobody watches"),
            attack.LATERAL_TOOL_TRANSFER("tools may go on from here to other systems"),
        ),
        (
            "the arguments: which files, in which direction, to which host",
            "whether the host is one of yours",
            _PARENT,
            _RELATED,
        ),
    ),
    # Impact
    Row(
        "destructive-command-line",
        ("Impact: Detect Malicious Cmdlines",),
        "was executed with arguments that destroy system files or change passwords",
        HOLD,
        "entry points that add a user to /etc/passwd, and clean-up scripts, look alike",
        (
            attack.DATA_DESTRUCTION("system files are deleted; the container's are in memory"),
            attack.ACCOUNT_MANIPULATION("users or passwords of the container are changed"),
        ),
        (
            "the arguments: which files",
            "whether it happened at the start of an instance, as entry points do",
            "what is mounted: buckets and shares are lost for good, the container is not",
            _RELATED,
        ),
    ),
    Row(
        "bulk-data-removal",
        ("Impact: Remove Bulk Data From Disk",),
        "deleted data in bulk",
        HOLD,
        "caches and temporary folders are emptied in the same way",
        (
            attack.DATA_DESTRUCTION("what was mounted may be gone; the container is in memory"),
            attack.FILE_DELETION("traces of something else may be what was deleted"),
        ),
        (
            "the arguments: which folder, and whether it is on a mounted bucket or share",
            "versions and soft-deleted objects of the bucket, before they expire",
            _PARENT,
            _RELATED,
        ),
    ),
    Row(
        "stratum-mining",
        (
            "Impact: Suspicious cryptocurrency mining activity using the Stratum Protocol",
            # As the overview of the same detector for GKE has it.
            "Impact: Suspicious crypto mining activity using the Stratum Protocol",
        ),
        "talked to a mining pool",
        CONTAIN,
        "nothing but miners speaks Stratum, and who mines here pays with your money",
        (
            attack.COMPUTE_HIJACKING("the workload's CPU time is used for mining"),
            attack.INGRESS_TOOL_TRANSFER("the miner is usually fetched after the way in was found"),
        ),
        (
            "the pool and the wallet in the arguments: look for them in your other workloads",
            "the number of instances and the bill: scaling multiplies miners",
            _WAY_IN,
            _ACCOUNT,
        ),
    ),
    # Privilege Escalation
    Row(
        "sudo-cve-2019-14287",
        ("Privilege Escalation: Abuse of Sudo For Privilege Escalation (CVE-2019-14287)",),
        "was executed with the arguments of an exploit of sudo (CVE-2019-14287)",
        CONTAIN,
        "nobody asks sudo for user -1 by mistake: an exploit runs, whether or not it worked",
        (
            attack.SUDO("a rule that forbids root is passed by naming user -1 or its like"),
            attack.EXPLOIT_FOR_PRIVILEGES("versions of sudo before 1.8.28 give root for it"),
        ),
        (
            "whether the image has sudo at all, and in which version",
            "the user id of what ran afterwards: 0 means that it worked",
            _WAY_IN,
            _ACCOUNT,
        ),
    ),
    Row(
        "polkit-cve-2021-4034",
        ("Privilege Escalation: Polkit Local Privilege Escalation Vulnerability (CVE-2021-4034)",),
        "was executed in the manner of an exploit of pkexec (CVE-2021-4034)",
        CONTAIN,
        "that environment is of no use to pkexec but to exploit it: an exploit runs",
        (attack.EXPLOIT_FOR_PRIVILEGES("an unpatched pkexec gives root to any user"),),
        (
            "whether the image has pkexec at all, and in which version",
            "the user id of what ran afterwards: 0 means that it worked",
            _WAY_IN,
            _ACCOUNT,
        ),
    ),
    Row(
        "sudo-cve-2021-3156",
        ("Privilege Escalation: Sudo Potential Privilege Escalation (CVE-2021-3156)",),
        "was executed with the arguments of an exploit of sudo (CVE-2021-3156)",
        CONTAIN,
        "arguments that end in a lone backslash are what overflows sudo: an exploit runs",
        (
            attack.EXPLOIT_FOR_PRIVILEGES("an unpatched sudo gives root to any user"),
            attack.SUDO("sudoedit is the way, and no entry in sudoers is needed"),
        ),
        (
            "whether the image has sudo at all, and in which version",
            "the user id of what ran afterwards: 0 means that it worked",
            _WAY_IN,
            _ACCOUNT,
        ),
    ),
)

RESPONDERS = tuple(row.responder() for row in TABLE)
