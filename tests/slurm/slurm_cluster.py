"""A Slurm of one node on the loopback: munged, slurmctld and slurmd as children of this
process, everything they write in one temporary folder. They end with it, whatever happens.
"""

import ctypes
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={ctld_port}
SlurmdPort={d_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CryptoType=crypto/munge
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=1
KillWait=60
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=test Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""

DAEMONS = ("munged", "slurmctld", "slurmd")
PR_SET_PDEATHSIG = 1


class CannotStart(Exception):
    pass


def program(name):
    """Its path, also where an administrator's folders are not on PATH; or None."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Cluster:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="vidur-slurm-")
        os.chmod(self.folder, 0o755)  # munged's user goes through it
        self.host = socket.gethostname().split(".")[0]
        self.env = dict(os.environ, SLURM_CONF=self.path("slurm.conf"))
        self.daemons = {}

    def path(self, name):
        return os.path.join(self.folder, name)

    def read(self, name):
        try:
            with open(self.path(name), errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def logs(self):
        return "".join(f"--- {name}\n{self.read(name)[-3000:]}"
                       for name in ("munge/log", "slurmctld.log", "slurmd.log"))

    # ---- Starting and stopping ----

    def spawn(self, name, *args, **kwargs):
        with open(self.path(f"{name}.out"), "w") as out:
            self.daemons[name] = subprocess.Popen(
                [program(name), *args], env=self.env, stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, preexec_fn=die_with_parent,
                start_new_session=True, **kwargs)

    def wait_until(self, condition, timeout_s, what):
        end = time.monotonic() + timeout_s
        while not condition():
            for name, daemon in self.daemons.items():
                if daemon.poll() is not None:
                    raise CannotStart(f"{name} ended with {daemon.returncode}: "
                                      f"{self.read(name + '.out')[-500:]}")
            if time.monotonic() > end:
                raise CannotStart(what)
            time.sleep(0.1)

    def start(self):
        """Raises CannotStart, or OSError."""
        for name in ("state", "spool", "munge"):
            os.mkdir(self.path(name), 0o755)
        self.start_munge()
        ctld_port, d_port = free_ports(2)
        with open(self.path("slurm.conf"), "w") as f:
            f.write(CONF.format(folder=self.folder, host=self.host, ctld_port=ctld_port,
                                d_port=d_port))
        self.spawn("slurmctld", "-D")
        self.wait_until(lambda: self.call("scontrol", "ping").returncode == 0, 600,
                        "slurmctld does not answer")
        self.spawn("slurmd", "-D", "-N", self.host)
        self.wait_until(
            lambda: self.call("sinfo", "-h", "-o", "%T").stdout.strip() == "idle", 600,
            "the node does not become idle")

    def start_munge(self):
        try:
            user = pwd.getpwnam("munge")
        except KeyError:
            raise CannotStart("there is no user munge") from None
        with open(self.path("munge/key"), "wb") as f:
            f.write(os.urandom(128))
        os.chmod(self.path("munge/key"), 0o400)
        for name in ("munge", "munge/key"):
            os.chown(self.path(name), user.pw_uid, user.pw_gid)
        files = [f"--{option}={self.path('munge/' + name)}" for option, name in
                 (("socket", "socket"), ("pid-file", "pid"), ("log-file", "log"),
                  ("seed-file", "seed"), ("key-file", "key"))]
        self.spawn("munged", "--foreground", *files, user=user.pw_uid,
                   group=user.pw_gid, extra_groups=[])
        self.wait_until(lambda: os.path.exists(self.path("munge/socket")), 600,
                        "munged does not listen")

    def stop(self):
        """Also the jobs that still run."""
        if len(self.daemons) == len(DAEMONS):
            self.call("scancel", "--user=root")
            end = time.monotonic() + 120
            while self.call("squeue", "-h").stdout and time.monotonic() < end:
                time.sleep(0.2)
        for name in reversed(DAEMONS):
            daemon = self.daemons.pop(name, None)
            if daemon:
                daemon.terminate()
                try:
                    daemon.wait(timeout=60)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- Using it ----

    def call(self, *words, **kwargs):
        try:
            return subprocess.run(words, text=True, capture_output=True, timeout=300,
                                  env=kwargs.pop("env", self.env), **kwargs)
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(words, 1, "", "timed out")

    def show(self, job):
        """The fields of a job, or of all tasks of an array."""
        told = self.call("scontrol", "--oneliner", "show", "job", job).stdout
        return [dict(re.findall(r"(\S+?)=(\S*)", line))
                for line in told.splitlines() if "JobState=" in line]
