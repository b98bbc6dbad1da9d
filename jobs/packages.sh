# Sourced by the other scripts of this folder: the one list of packages, and how to
# install it. Debian and Ubuntu are served by apt; elsewhere the missing tools are named.

VIDUR_BUILD_PACKAGES="gcc make cmake pkg-config git libopenmpi-dev openmpi-bin libhdf5-dev
    libyaml-dev libcsv-dev libjansson-dev libgsl-dev zlib1g-dev nettle-dev libjs-chart.js"
# What only the tests need: a browser looks at the report, Slurm runs the job scripts,
# PyTorch runs the profiler on the CPU. A test whose package is missing is skipped.
VIDUR_TEST_PACKAGES="libcunit1-dev clang-format-14 universal-ctags python3 python3-h5py
    python3-pandas hdf5-tools chromium slurm-wlm munge python3-torch"

vidur_is_installed()
{
    dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'
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
    local sudo=""
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null 2>&1; then
            echo "Not root and no sudo: please install: ${missing[*]}" >&2
            return 1
        fi
        sudo=sudo
    fi
    echo "Installing: ${missing[*]}" >&2
    $sudo apt-get update -qq || echo "apt-get update failed; trying the lists at hand" >&2
    $sudo env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Where there is no apt: says what to install by hand.
vidur_check_tools()
{
    local tool missing=()
    for tool in cc cmake pkg-config mpicc mpirun h5cc; do
        command -v "$tool" >/dev/null 2>&1 || missing+=("$tool")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        echo "No apt here. Missing: ${missing[*]}" >&2
        echo "Please install a C compiler, CMake, pkg-config, Open MPI, HDF5 (with its" >&2
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
