"""A real Slurm of one node on this machine, for tests, stopped by the pids of its daemons."""

import fcntl
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from getpass import getuser
from pathlib import Path

#: auth/slurm needs no munge; linuxproc and task/none no cgroup; NoInAddrAny keeps to loopback.
CONF = """\
ClusterName=sacrofem
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/slurm
CredType=auth/slurm
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
PlugStackConfig={folder}/plugstack.conf
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1,sched_min_interval=0
ReturnToService=2
KillWait=2
MailProg=/bin/true
NodeName=localhost NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_MB}
PartitionName=test Nodes=localhost Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str | None:
    """Why no Slurm can be started here; None where one can."""
    for command in ("slurmctld", "slurmd", "sbatch", "squeue", "sinfo"):
        if shutil.which(command) is None:
            return f"no {command} in PATH"
    return None


@contextmanager
def one_node_slurm(cpus: int = 2, memory_MB: int = 4096) -> Iterator[dict[str, str]]:
    """A Slurm that runs until the block ends; the environment in which its commands find it.

    One at a time on a machine, others wait: auth/slurm has sockets in /run that all would share.

    Raises:
        RuntimeError: It does not come up within 30 s; with what its daemons said.
    """
    with (Path(tempfile.gettempdir()) / "sacrofem-slurm.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with _running(cpus, memory_MB) as environment:
            yield environment


@contextmanager
def _running(cpus: int, memory_MB: int) -> Iterator[dict[str, str]]:
    # Not below pytest's folders: the path of a socket must be short.
    folder = Path(tempfile.mkdtemp(prefix="slurm"))
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    _configure(folder, cpus, memory_MB)
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        for command in (["slurmctld", "-D"], ["slurmd", "-D", "-N", "localhost"]):
            with (folder / f"{command[0]}.log").open("wb") as log:
                daemons.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        _wait_until_idle(folder, environment)
        yield environment
        _cancel_all(environment)
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _configure(folder: Path, cpus: int, memory_MB: int) -> None:
    folder.chmod(0o755)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "slurm.key").write_bytes(secrets.token_bytes(1024))
    (folder / "slurm.key").chmod(0o600)
    (folder / "plugstack.conf").touch()
    text = CONF.format(
        host=socket.gethostname().split(".")[0],
        ports=_free_ports(2),
        user=getuser(),
        folder=folder,
        cpus=cpus,
        memory_MB=memory_MB,
    )
    (folder / "slurm.conf").write_text(text)


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def ask(environment: dict[str, str], *command: str) -> str:
    """Standard output of a command of Slurm; empty where it fails or hangs."""
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=5, check=False
        )
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout.strip()


def _wait_until_idle(folder: Path, environment: dict[str, str]) -> None:
    deadline = time.monotonic() + 30.0
    while "idle" not in ask(environment, "sinfo", "-h", "-o", "%T"):
        if time.monotonic() > deadline:
            logs = "\n".join(p.read_text(errors="replace")[-2000:] for p in folder.glob("*.log"))
            raise RuntimeError(f"Slurm did not come up:\n{logs}")
        time.sleep(0.1)


def _cancel_all(environment: dict[str, str]) -> None:
    """End jobs that a test left; their processes are not children of ours."""
    ask(environment, "scancel", "--full", "-u", getuser())
    deadline = time.monotonic() + 10.0
    while ask(environment, "squeue", "-h") and time.monotonic() < deadline:
        time.sleep(0.2)
