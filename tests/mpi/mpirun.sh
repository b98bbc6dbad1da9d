#!/bin/sh
# mpirun.sh RANKS PROGRAM [ARGUMENT...]: more ranks than cores allowed. Open MPI wants to
# be told so, and refuses to run as root, as in containers, unless told twice; MPICH allows
# both and knows no such option.
if [ "$(id -u)" -eq 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
ranks=$1
shift
case $(mpirun --version 2>&1) in
*"Open MPI"* | *OpenRTE*) exec mpirun --oversubscribe -n "$ranks" "$@" ;;
*) exec mpirun -n "$ranks" "$@" ;;
esac
