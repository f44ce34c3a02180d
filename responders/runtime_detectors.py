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
                "orders may reach {workload}, and its data leave, inside files that {program} makes"
                " look harmless"
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
            attack.CREDENTIALS_IN_FILES(
                "{program} looked for keys of service accounts in the files of {workload}"
            ),
            attack.STEAL_TOKEN(
                "who runs {program} can ask the metadata server for tokens of {workload}, too"
            ),
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
        (
            attack.PRIVATE_KEYS(
                "{program} looked for keys in {workload} that decrypt or sign for you"
            ),
        ),
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
            attack.PRIVATE_KEYS("{program} looked for private keys in the files of {workload}"),
            attack.CREDENTIALS_IN_FILES(
                "{program} looked for passwords in the files of {workload}"
            ),
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
            attack.COMMAND_OBFUSCATION(
                "what {program} was given to run is not readable in the process list"
            ),
            attack.PYTHON("Python does the work in {workload}: no other program need show"),
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
            attack.COMMAND_OBFUSCATION(
                "what {program} was given to run is not readable in the process list"
            ),
            attack.UNIX_SHELL("a shell in {workload} runs what is decoded"),
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
        (
            attack.COMPILE_AFTER_DELIVERY(
                "{program} may build a tool inside {workload}: no scan of the image saw it"
            ),
        ),
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
                "{program} was brought into {workload} while it ran: look for what else came"
            ),
            attack.NATIVE_API("{program} was started through the operating system's own calls"),
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
            attack.IMPLANT_IMAGE(
                "{program} is in the image of {workload}: every new instance has it again"
            ),
            attack.SUPPLY_CHAIN(
                "a dependency or the build of {workload} may have put {program} there"
            ),
            attack.NATIVE_API("{program} was started through the operating system's own calls"),
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
                "{program} tries to reach what lies around {workload}; Cloud Run's second"
                " generation puts a virtual machine there"
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
            attack.REFLECTIVE_LOADING(
                "{program} was never a file in {workload} that could be scanned"
            ),
            attack.NATIVE_API("{program} was made and started with system calls alone"),
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
            attack.CONTAINER_ADMINISTRATION(
                "{program} runs commands in the containers of clusters that {workload} reaches"
            ),
            attack.CONTAINER_DISCOVERY(
                "{program} maps clusters, pods and what the account of {workload} may do there"
            ),
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
            attack.SYSTEM_DISCOVERY("{program} lists versions, users and weaknesses of {workload}"),
            attack.SERVICE_DISCOVERY("{program} may scan whatever {workload} can reach"),
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
            attack.UNIX_SHELL("with -e or -c {program} hands a shell to whom it is connected with"),
            attack.NON_APPLICATION_PROTOCOL(
                "what {program} connects {workload} with is bare TCP or UDP"
            ),
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
            attack.UNIX_SHELL(
                "a printer's description can carry a command that is run as {workload}"
            ),
            attack.EXPLOIT_PUBLIC_APPLICATION(
                "the printing service of {workload} is what would be exploited"
            ),
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
            attack.UNIX_SHELL("{program} runs in {workload} for whoever holds the other end"),
            attack.NON_APPLICATION_PROTOCOL(
                "its orders come by a connection that speaks no protocol of {workload}"
            ),
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
        (attack.PROXY("the traffic of {program} goes by who can read it or hide its goal"),),
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
            attack.UNIX_SHELL("whoever holds the other end types into a shell in {workload}"),
            attack.NON_APPLICATION_PROTOCOL(
                "{program} carries the shell over bare TCP, perhaps with TLS"
            ),
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
            attack.SHARED_MODULES("the library runs its code inside {program}, which is trusted"),
            attack.HIJACK_FLOW(
                "if OpenSSL's own library was replaced, all TLS of {workload} is theirs"
            ),
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
            attack.EXFILTRATION("data of {workload} may leave by {program}, which nobody watches"),
            attack.LATERAL_TOOL_TRANSFER(
                "{program} may carry tools from {workload} on to other systems"
            ),
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
            attack.DATA_DESTRUCTION(
                "{program} deletes system files; only those on a mount of {workload} last"
            ),
            attack.ACCOUNT_MANIPULATION("{program} changes users or passwords of the container"),
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
            attack.DATA_DESTRUCTION(
                "what {program} deleted on a mount of {workload} may be gone for good"
            ),
            attack.FILE_DELETION("what {program} deleted may be the traces of something else"),
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
            attack.COMPUTE_HIJACKING(
                "{program} mines with the CPU time of {workload}, which you pay for"
            ),
            attack.INGRESS_TOOL_TRANSFER(
                "{program} was likely fetched into {workload} once the way in was found"
            ),
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
            attack.SUDO("{program} passes a rule that forbids root by naming user -1 or its like"),
            attack.EXPLOIT_FOR_PRIVILEGES(
                "sudo before 1.8.28 gives root in the container of {workload} for it"
            ),
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
        (
            attack.EXPLOIT_FOR_PRIVILEGES(
                "an unpatched pkexec gives any user root in the container of {workload}"
            ),
        ),
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
            attack.EXPLOIT_FOR_PRIVILEGES(
                "an unpatched sudo gives any user root in the container of {workload}"
            ),
            attack.SUDO("{program} needs no entry in sudoers for it: sudoedit is the way"),
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
