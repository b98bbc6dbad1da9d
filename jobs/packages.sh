# shellcheck shell=bash disable=SC2034
# Sourced by the other scripts of this folder: the one list of packages, and how to
# install it. Debian and Ubuntu are served by apt; elsewhere the missing tools are named.
# Environment: VIDUR_MPI is openmpi (default), mpich or off; CC the compiler, e.g. clang.

case ${VIDUR_MPI:-openmpi} in
openmpi) vidur_mpi_packages="libopenmpi-dev openmpi-bin" ;;
mpich) vidur_mpi_packages="libmpich-dev mpich" ;;
off) vidur_mpi_packages="" ;;
*) echo "VIDUR_MPI is '$VIDUR_MPI'; it is openmpi, mpich or off" >&2 && exit 1 ;;
esac
case ${CC:-gcc} in
*clang*) vidur_compiler_packages="clang libomp-dev" ;;
*) vidur_compiler_packages=gcc ;;
esac
VIDUR_BUILD_PACKAGES="$vidur_compiler_packages make cmake pkg-config git $vidur_mpi_packages
    libhdf5-dev libyaml-dev libcsv-dev libjansson-dev libgsl-dev zlib1g-dev nettle-dev
    libjs-chart.js"
VIDUR_TEST_PACKAGES="libcunit1-dev python3"
# A browser looks at the report, Slurm runs the job scripts, PyTorch runs the profiler on
# the CPU. A test whose package is missing, or unknown to this system, is skipped.
VIDUR_OPTIONAL_TEST_PACKAGES="clang-format-14 universal-ctags shellcheck groff-base
    python3-h5py python3-pandas hdf5-tools chromium slurm-wlm munge python3-torch"
# What jobs/test.sh --all needs beside them.
VIDUR_ALL_TEST_PACKAGES="clang clang-tidy libomp-dev"

vidur_is_installed()
{
    dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'
}

# vidur_apt WORD...: apt-get as root, with fresh lists.
vidur_apt()
{
    local sudo=""
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null 2>&1; then
            echo "Not root and no sudo; please run: apt-get $*" >&2
            return 1
        fi
        sudo=sudo
    fi
    if [ -z "${vidur_lists_are_fresh:-}" ]; then
        $sudo apt-get update -qq || echo "apt-get update failed; trying the lists at hand" >&2
        vidur_lists_are_fresh=1
    fi
    [ $# -eq 0 ] || $sudo env DEBIAN_FRONTEND=noninteractive apt-get "$@" >/dev/null
}

# vidur_install PACKAGE...: installs those that are missing.
vidur_install()
{
    if ! command -v apt-get >/dev/null 2>&1; then
        vidur_check_tools
        return
    fi
    local missing=() package
    for package in "$@"; do
        vidur_is_installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    echo "Installing: ${missing[*]}" >&2
    vidur_apt install -y -qq --no-install-recommends "${missing[@]}"
}

# vidur_install_known PACKAGE...: the same, but for those that this system does not have.
vidur_install_known()
{
    command -v apt-get >/dev/null 2>&1 || return 0
    local missing=() known=() package
    for package in "$@"; do
        vidur_is_installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    vidur_apt || return
    for package in "${missing[@]}"; do
        if apt-cache policy "$package" 2>/dev/null | grep -q 'Candidate: [0-9]'; then
            known+=("$package")
        else
            echo "No package $package here: what needs it is skipped" >&2
        fi
    done
    [ ${#known[@]} -eq 0 ] || vidur_install "${known[@]}"
}

# Where there is no apt: says what to install by hand.
vidur_check_tools()
{
    local tool missing=()
    for tool in "${CC:-cc}" cmake pkg-config h5cc; do
        command -v "$tool" >/dev/null 2>&1 || missing+=("$tool")
    done
    for tool in mpicc mpirun; do
        [ "${VIDUR_MPI:-openmpi}" != off ] || break
        command -v "$tool" >/dev/null 2>&1 || missing+=("$tool")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        echo "No apt here. Missing: ${missing[*]}" >&2
        echo "Please install a C compiler, CMake, pkg-config, MPI, HDF5 (with its" >&2
        echo "high-level library), libyaml, libcsv, jansson, GSL, nettle and zlib." >&2
        return 1
    fi
}

# Open MPI refuses to run as root unless told twice; containers often are root.
vidur_allow_root()
{
    if [ "$(id -u)" -eq 0 ]; then
        export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    fi
}
