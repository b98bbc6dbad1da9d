#!/bin/sh
# mpirun.sh RANKS PROGRAM [ARGUMENT...]: more ranks than cores allowed; Open MPI refuses
# to run as root unless told twice, which containers need.
if [ "$(id -u)" -eq 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
ranks=$1
shift
exec mpirun --oversubscribe -n "$ranks" "$@"
