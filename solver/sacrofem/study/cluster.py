"""Where the workers of a study run: this machine, or the jobs of a batch system, by Dask."""

import logging
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sacrofem.errors import InputError

#: Kinds of clusters, with the class of dask-jobqueue and the command that submits a job.
BATCH = {
    "slurm": ("SLURMCluster", "sbatch"),
    "pbs": ("PBSCluster", "qsub"),
    "lsf": ("LSFCluster", "bsub"),
    "sge": ("SGECluster", "qsub"),
}
KINDS = ("local", *BATCH)

#: Settings of Dask that a study rests on, on the scheduler and on every worker.
SETTINGS = {
    # The engine itself decides what is tried again, and how often.
    "distributed.scheduler.allowed-failures": 0,
    # A solve may hold the interpreter for minutes; a node that is gone ends its connection anyhow.
    "distributed.scheduler.worker-ttl": "1 hour",
    # Time for a killed worker to come back by itself, before it is replaced.
    "distributed.deploy.lost-worker-timeout": "30s",
    # A case is one task, whose memory cannot be spilled; a paused worker would stall for ever.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
}
#: Dask's pages: on this machine only, at any free port, so that two studies may run side by side.
DASHBOARD = "127.0.0.1:0"
#: Dask's own log is kept off the console: what goes wrong is told by the engine.
QUIET = logging.CRITICAL
#: Loaded by every worker before it takes its first case; see :func:`workers.dask_setup`.
PRELOAD = "sacrofem.study.workers"
#: Seconds after which a worker ends that has lost, or never found, its client. A choice.
DEATH_TIMEOUT_S = 60
#: Seconds between looks for jobs that are gone and must be replaced. A choice.
REPLACE_EVERY_S = 5


@dataclass(frozen=True)
class ClusterOptions:
    """Where and how workers run.

    Attributes:
        kind: One of :data:`KINDS`.
        workers: Cases that are solved at a time.
        ranks: Solver processes of a case, by MPI.
        cores: Cores of a job of a batch system, a multiple of ``ranks``; None for ``ranks``.
        memory: Memory of a job, as ``16GB``.
        walltime: Longest time of a job, as ``HH:MM:SS`` or ``D-HH:MM:SS``.
        queue: Queue or partition.
        account: Account or project that pays.
        interface: Network interface between client and nodes, as ``ib0``.
        python: Command that starts Python in a job; by default that of this process.
        prologue: Lines of shell that a job runs first, as ``module load ...``.
        extra: More directives for the batch system, as ``--constraint=avx2``.
        logs: Folder of the jobs' own output.
    """

    kind: str = "local"
    workers: int = 2
    ranks: int = 1
    cores: int | None = None
    memory: str | None = None
    walltime: str | None = None
    queue: str | None = None
    account: str | None = None
    interface: str | None = None
    python: str | None = None
    prologue: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    logs: Path | None = None

    @property
    def workers_a_job(self) -> int:
        """Workers in one job of a batch system."""
        return (self.cores or self.ranks) // self.ranks


def check_options(options: ClusterOptions) -> None:
    """Check what can be checked before anything is computed.

    Raises:
        InputError: The kind is unknown, its commands are not here, or a job's needs are not said.
    """
    if options.kind not in KINDS:
        raise InputError(f"--cluster {options.kind}: allowed: {', '.join(KINDS)}.")
    if options.ranks > 1 and options.python is None and shutil.which("mpirun") is None:
        raise InputError(
            f"--ranks {options.ranks}: the command mpirun is not in PATH; call from the "
            "environment of the solver, or leave --ranks out."
        )
    if options.kind == "local":
        _check_no_job_options(options)
        return
    command = BATCH[options.kind][1]
    if shutil.which(command) is None:
        raise InputError(
            f"--cluster {options.kind}: the command {command} is not in PATH; call from a login "
            "node of the cluster, from an environment that sees its commands."
        )
    for name in ("memory", "walltime"):
        if getattr(options, name) is None:
            raise InputError(
                f"--cluster {options.kind}: --{name} of a job is needed, found none; as "
                "--memory 4GB --walltime 04:00:00."
            )
    walltime_s(options.walltime)
    if options.cores is not None and options.cores % options.ranks:
        raise InputError(
            f"--cores {options.cores} --ranks {options.ranks}: a job holds whole workers, so its "
            "cores must be a multiple of the ranks; give --cores "
            f"{options.ranks * -(-options.cores // options.ranks)}."
        )


@contextmanager
def open_cluster(options: ClusterOptions) -> Iterator[Any]:
    """A running Dask cluster, whose scheduler is in this process; closed with all its workers.

    Raises:
        InputError: See :func:`check_options`; or the batch system refuses the job.
    """
    check_options(options)
    # A second to import, which every other command would spend. Dask's own defaults must be there
    # before ours are set over them, or they go with ours at the end.
    import dask
    import distributed  # noqa: F401

    with dask.config.set(SETTINGS):
        if options.kind == "local":
            with _local(options) as cluster:
                yield cluster
        else:
            with _batch(options) as cluster:
                yield cluster


def walltime_s(text: str | None) -> float | None:
    """Seconds of ``HH:MM:SS``, ``HH:MM`` or ``D-HH:MM:SS``; None of None.

    Raises:
        InputError: The text is none of these.
    """
    if text is None:
        return None
    days, _, clock = text.rpartition("-")
    parts = clock.split(":")
    if len(parts) not in (2, 3) or not all(p.isdigit() for p in [*parts, days or "0"]):
        raise InputError(f"--walltime {text}: HH:MM:SS or D-HH:MM:SS is needed.")
    hours, minutes, seconds = (int(p) for p in [*parts, "0"][:3])
    return 86400.0 * int(days or 0) + 3600.0 * hours + 60.0 * minutes + seconds


def _check_no_job_options(options: ClusterOptions) -> None:
    given = [
        name
        for name in ("cores", "memory", "walltime", "queue", "account", "interface", "python")
        if getattr(options, name) is not None
    ]
    given += [name for name in ("prologue", "extra") if getattr(options, name)]
    if given:
        raise InputError(
            f"--{given[0]} tells about the jobs of a batch system, but --cluster is local; give "
            f"--cluster {', '.join(BATCH)}, or leave it out."
        )


@contextmanager
def _local(options: ClusterOptions) -> Iterator[Any]:
    from distributed import LocalCluster
    from distributed.system import MEMORY_LIMIT

    # Loopback only: the workers of a laptop have no business on its network.
    with LocalCluster(
        n_workers=options.workers,
        threads_per_worker=1,
        host="127.0.0.1",
        memory_limit=MEMORY_LIMIT // options.workers,
        dashboard_address=DASHBOARD,
        preload=[PRELOAD],
        silence_logs=QUIET,
    ) as cluster:
        # A worker that dies while it starts is not started again by its own nanny.
        cluster.adapt(
            minimum=options.workers, maximum=options.workers, interval=f"{REPLACE_EVERY_S}s"
        )
        yield cluster


@contextmanager
def _batch(options: ClusterOptions) -> Iterator[Any]:
    import dask_jobqueue

    python, entry = _python(options)
    jobs = -(-options.workers // options.workers_a_job)
    account = "project" if options.kind in ("lsf", "sge") else "account"
    scheduler: dict[str, Any] = {"dashboard_address": DASHBOARD}
    cluster = getattr(dask_jobqueue, BATCH[options.kind][0])(
        cores=options.workers_a_job * options.ranks,
        processes=options.workers_a_job,
        memory=options.memory,
        walltime=options.walltime,
        queue=options.queue,
        **{account: options.account},
        interface=options.interface,
        python=python,
        job_name="sacrofem",
        job_script_prologue=[*options.prologue, *entry, *_exports()],
        job_extra_directives=list(options.extra),
        log_directory=None if options.logs is None else str(options.logs),
        death_timeout=DEATH_TIMEOUT_S,
        worker_extra_args=["--preload", PRELOAD],
        scheduler_options=scheduler,
        silence_logs=QUIET,
    )
    try:
        # What scale() does in the background, where nobody would hear that a job is refused.
        for _ in range(jobs):
            cluster.worker_spec.update(cluster.new_worker_spec())
        cluster.sync(cluster._correct_state)
    except RuntimeError as error:
        # Dask cancels what was submitted, then stumbles over the job that never was.
        with suppress(AssertionError):
            cluster.close()
        raise InputError(
            f"--cluster {options.kind}: the job was refused: {_last_line(error)}"
        ) from error
    with cluster:
        # As many jobs as were asked for, always: without this, a job that was cancelled or whose
        # node is lost is not replaced.
        cluster.adapt(minimum_jobs=jobs, maximum_jobs=jobs, interval=f"{REPLACE_EVERY_S}s")
        yield cluster


def _exports() -> list[str]:
    """The settings for the workers, which a job finds in its environment only."""
    names = {
        f"DASK_{name.replace('.', '__').replace('-', '_').upper()}": value
        for name, value in SETTINGS.items()
        if name.startswith("distributed.worker")
    }
    return [f"export {name}={value}" for name, value in names.items()]


def _python(options: ClusterOptions) -> tuple[str, list[str]]:
    """Command that starts Python on a node, and the lines of shell that it needs before.

    ``with-env`` tells by ``SACROFEM_INSIDE`` that a process is inside its environment. A batch
    system may hand that variable to a node where nothing has been entered yet, so the job asks
    whether this Python works there, and else lets ``with-env`` enter as on the login node.
    """
    if options.python is not None:
        return options.python, []
    inside = os.environ.get("SACROFEM_INSIDE")
    if inside is None:
        return shlex.quote(sys.executable), []
    project = inside.split(" ", 1)[1]
    works = "import importlib.util as u, sys; sys.exit(u.find_spec('dolfinx') is None)"
    folder = shlex.quote(str(Path(sys.executable).parent))
    lines = [
        f'{shlex.quote(sys.executable)} -c "{works}" 2>/dev/null || '
        f"{{ unset SACROFEM_INSIDE; PATH=${{PATH#{folder}:}}; }}"
    ]
    if os.environ.get("SACROFEM_ENV"):
        lines.append(f"export SACROFEM_ENV={shlex.quote(os.environ['SACROFEM_ENV'])}")
    return f"{shlex.quote(project)}/with-env python", lines


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "")
