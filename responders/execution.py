"""Execution: hostile code, and tools that rarely belong in a container."""

from __future__ import annotations

from responders import _mitre_attack as attack
from responders._investigation_steps import ENTRY_POINT, PARENT_PROCESS, RELATED, SERVICE_ACCOUNT
from responders._table_row import CONTAIN, HOLD, ResponderRow

TABLE = (
    ResponderRow(
        "added-malicious-binary",
        ("Execution: Added Malicious Binary Executed",),
        "was added after the container started, was executed, and matches a file that Google knows"
        " as malicious",
        CONTAIN,
        "a known malicious file runs that the image does not have: somebody brought it in",
        (
            attack.INGRESS_TOOL_TRANSFER(
                "{program} was brought into {workload}, or made in it, while it ran: look for what"
                " else came"
            ),
            attack.NATIVE_API("{program} was started through the operating system's own calls"),
        ),
        (
            ENTRY_POINT,
            "the SHA-256 on VirusTotal: what the file is, and whom it talks to",
            "where it was written: on a mounted bucket or share it survives a restart",
            SERVICE_ACCOUNT,
        ),
    ),
    ResponderRow(
        "built-in-malicious-binary",
        ("Execution: Built in Malicious Binary Executed",),
        "came with the image, was executed, and matches a file that Google knows as malicious",
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
    ResponderRow(
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
            ENTRY_POINT,
            SERVICE_ACCOUNT,
            "Google's support, if anything outside the container looks touched",
        ),
    ),
    ResponderRow(
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
            PARENT_PROCESS,
            "whether the image has a runtime or a sandbox that starts its helpers from memory",
            ENTRY_POINT,
            "nothing on disk is left to examine: what the logs say is all there is",
        ),
    ),
    ResponderRow(
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
            ENTRY_POINT,
            SERVICE_ACCOUNT,
        ),
    ),
    ResponderRow(
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
            ENTRY_POINT,
            SERVICE_ACCOUNT,
        ),
    ),
    ResponderRow(
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
            PARENT_PROCESS,
            RELATED,
        ),
    ),
    ResponderRow(
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
            RELATED,
        ),
    ),
    ResponderRow(
        "remote-command-execution",
        ("Execution: Possible Remote Command Execution Detected",),
        "was executed over a network connection, as a remote shell would",
        CONTAIN,
        "common commands take their orders from a socket: somebody types them elsewhere",
        (
            attack.UNIX_SHELL("{program} runs in {workload} for a person at the other end"),
            attack.NON_APPLICATION_PROTOCOL(
                "its orders come by a connection that speaks no protocol of {workload}"
            ),
        ),
        (
            "the command and its arguments: exploring, or taking something",
            PARENT_PROCESS,
            ENTRY_POINT,
            SERVICE_ACCOUNT,
        ),
    ),
    ResponderRow(
        "disallowed-http-proxy",
        ("Execution: Program Run with Disallowed HTTP Proxy Env",),
        "was executed with a proxy in its environment that is not allowed",
        HOLD,
        "proxies of one's own, and of build tools, are set by the same variables",
        (attack.PROXY("the traffic of {program} goes by who can read it or hide its goal"),),
        (
            "the proxy's address, and whether your settings set it or something at run time did",
            "who deployed the revision that sets it, in the audit log",
            RELATED,
        ),
    ),
    ResponderRow(
        "socat-reverse-shell",
        ("Execution: Socat Reverse Shell Detected",),
        "was executed so as to connect a shell to a remote host",
        CONTAIN,
        "a shell whose input and output are a network connection is a remote control",
        (
            attack.UNIX_SHELL("a person at the other end types into a shell in {workload}"),
            attack.NON_APPLICATION_PROTOCOL(
                "{program} carries the shell over bare TCP, perhaps with TLS"
            ),
        ),
        (
            "the address in the arguments: look for it in all your networks",
            PARENT_PROCESS,
            ENTRY_POINT,
            SERVICE_ACCOUNT,
        ),
    ),
    ResponderRow(
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
            PARENT_PROCESS,
            RELATED,
        ),
    ),
)

RESPONDERS = tuple(row.responder() for row in TABLE)
