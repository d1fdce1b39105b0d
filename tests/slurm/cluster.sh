#!/usr/bin/env bash
# A real Slurm of one machine, to test the profile with: `cluster.sh up`, `cluster.sh down`, `cluster.sh restart-controller`.
#
# Needs root on Debian or Ubuntu: it installs slurm-wlm and munge with apt, writes /etc/slurm/slurm.conf (refusing where
# one stands there that it did not write), and starts the daemons without systemd and cgroups. Controller and node only, no
# accounting. From the environment:
#   CPUS, MEM_MB   what the node pretends to have, also more than is there (all cores, all memory but 512 MB)
#   GPUS           pretended GPUs (none): --gpus works, CUDA_VISIBLE_DEVICES is set
set -euo pipefail
ROOT=${SANREC_SLURM_ROOT:-/tmp/sanrec-slurm}
CONF=/etc/slurm/slurm.conf
MARK="# written by sanrec's tests/slurm/cluster.sh"
HOST=$(hostname -s)

need_root() { [ "$(id -u)" = 0 ] || { echo "cluster.sh: needs root, to install and start Slurm" >&2; exit 77; }; }

running() { [ -f "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }

stop() {  # a daemon, by its pid file
  running "$1" || { rm -f "$1"; return 0; }
  local pid; pid=$(cat "$1")
  kill "$pid" 2>/dev/null || true
  for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep .1; done
  rm -f "$1"
}

wait_for() {  # at most 15 s
  for _ in $(seq 150); do "$@" >/dev/null 2>&1 && return 0; sleep .1; done
  echo "cluster.sh: '$*' did not succeed; see $ROOT/log" >&2; exit 1
}

node_is_up() { sinfo -h -o %t | grep -qE '^(idle|mix|alloc)'; }

up() {
  need_root
  if [ -f $CONF ] && ! grep -qF "$MARK" $CONF; then echo "cluster.sh: $CONF is another cluster's: left alone" >&2; exit 77; fi
  missing=()
  for package in slurm-wlm munge; do dpkg -s $package >/dev/null 2>&1 || missing+=("$package"); done
  if [ ${#missing[@]} -gt 0 ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  fi
  mkdir -p "$ROOT"/{log,state,spool,run} /run/munge /etc/slurm
  chown -R slurm:slurm "$ROOT"/{log,state,run}
  chmod 755 "$ROOT"
  getent hosts "$HOST" >/dev/null || echo "127.0.0.1 $HOST" >>/etc/hosts
  [ -f /etc/munge/munge.key ] || dd if=/dev/urandom bs=1024 count=1 of=/etc/munge/munge.key status=none
  chown munge:munge /etc/munge/munge.key /run/munge
  chmod 400 /etc/munge/munge.key
  chmod 755 /run/munge
  if ! munge -n >/dev/null 2>&1; then
    setpriv --reuid=munge --regid=munge --clear-groups /usr/sbin/munged
    touch "$ROOT/munge-is-ours"   # `down` stops no other's
  fi
  wait_for sh -c "munge -n | unmunge"
  local gpus=${GPUS:-0} gres=""
  rm -f /etc/slurm/gres.conf
  if [ "$gpus" -gt 0 ]; then
    gres="Gres=gpu:$gpus"
    for number in $(seq 0 $((gpus - 1))); do
      [ -e "$ROOT/gpu$number" ] || mknod -m 666 "$ROOT/gpu$number" c 1 3
      echo "NodeName=$HOST Name=gpu File=$ROOT/gpu$number" >>/etc/slurm/gres.conf
    done
  fi
  cat >$CONF <<END
$MARK
ClusterName=sanrec
SlurmctldHost=$HOST(127.0.0.1)
SlurmUser=slurm
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SlurmdParameters=config_overrides
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
StateSaveLocation=$ROOT/state
SlurmdSpoolDir=$ROOT/spool
SlurmctldPidFile=$ROOT/run/slurmctld.pid
SlurmdPidFile=$ROOT/run/slurmd.pid
SlurmctldLogFile=$ROOT/log/slurmctld.log
SlurmdLogFile=$ROOT/log/slurmd.log
MinJobAge=300
InactiveLimit=0
KillWait=2
CompleteWait=0
$([ "$gpus" -gt 0 ] && echo GresTypes=gpu)
NodeName=$HOST NodeAddr=127.0.0.1 CPUs=${CPUS:-$(nproc)} RealMemory=${MEM_MB:-$(awk '/MemTotal/ {print int($2 / 1024) - 512}' /proc/meminfo)} $gres State=UNKNOWN
PartitionName=main Nodes=$HOST Default=YES MaxTime=INFINITE State=UP
END
  printf 'CgroupAutomount=no\nConstrainCores=no\nConstrainRAMSpace=no\n' >/etc/slurm/cgroup.conf
  start_controller
  running "$ROOT/run/slurmd.pid" || /usr/sbin/slurmd -N "$HOST" 2>/dev/null || /usr/sbin/slurmd
  wait_for node_is_up
  sinfo
}

start_controller() {
  running "$ROOT/run/slurmctld.pid" || /usr/sbin/slurmctld
  wait_for sh -c "scontrol ping | grep -q 'is UP'"
}

down() {
  need_root
  grep -qF "$MARK" $CONF 2>/dev/null || { echo "cluster.sh: no cluster of these tests is up"; return 0; }
  scancel --user=root 2>/dev/null || true
  stop "$ROOT/run/slurmd.pid"
  stop "$ROOT/run/slurmctld.pid"
  [ ! -f "$ROOT/munge-is-ours" ] || stop /run/munge/munged.pid
  rm -f $CONF /etc/slurm/cgroup.conf /etc/slurm/gres.conf  # one without a controller makes every Snakemake start 10 s slower
  rm -rf "$ROOT"
}

case ${1:-} in
  up) up ;;
  down) down ;;
  restart-controller) need_root; stop "$ROOT/run/slurmctld.pid"; sleep "${2:-0}"; start_controller ;;
  *) echo "cluster.sh: up, down, or restart-controller [SECONDS]" >&2; exit 2 ;;
esac
