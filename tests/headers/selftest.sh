#!/bin/bash
# The checks of this folder find what they are for: each breach below, put into a sound
# little tree, makes its check fail. Usage: selftest.sh CC
here=$(cd "$(dirname "$0")" && pwd)
cc=${1:-cc}
tree=$(mktemp -d /tmp/vidur-test-XXXXXX)
cp "$here/../../.clang-format" "$tree"
trap 'rm -rf "$tree"' EXIT
failed=0

fresh_tree()
{
    rm -rf "${tree:?}"/*
    mkdir -p "$tree"/{include/vidur,estimator/base,sim/{load,replica,schedulers},search/report,tests}
    echo 'int vidur_error(void);' >"$tree/include/vidur/error.h"
    echo 'int vidur_model(void);' >"$tree/include/vidur/model.h"
    echo 'int vidur_forest(void);' >"$tree/include/vidur/forest.h"
    echo 'int vidur_space(void);' >"$tree/include/vidur/space.h"
    echo '#include <yaml.h>' >"$tree/estimator/base/yaml.c"
    printf '/* The room estimator/base. */\n#include <vidur/error.h>\n' \
        >"$tree/estimator/base/text.h"
    echo '/* The room search/report. */' >"$tree/search/report/report.h"
    printf '#include "base/text.h"\n#include <vidur/model.h>\n' >"$tree/sim/a.c"
    printf 'static const int k = 1;\nint f(int a)\n{\n    return a + k;\n}\n' \
        >"$tree/search/b.c"
    printf '/* The room sim/load. */\nint vidur_load(void);\n' >"$tree/sim/load/draws.h"
    printf '/* The room sim/schedulers. */\nint vidur_registry(void);\n' \
        >"$tree/sim/schedulers/registry.h"
    echo '#include "load/draws.h"' >"$tree/sim/schedulers/registry.c"
    printf '/* The room sim/replica. */\n#define VIDUR_ACCOUNT_BATCHES(X) X(num_batches, 1)\n' \
        >"$tree/sim/replica/account.h"
    printf '/* fifo */\nstatic const struct ops fifo = {.name = "fifo"};\n' \
        >"$tree/sim/schedulers/fifo.c"
    printf '/* sjf */\nstatic const struct ops sjf = {.name = "sjf"};\n' \
        >"$tree/sim/schedulers/sjf.c"
    printf '# Text\n\n## 1. One\n\n### 1.2 Two\n\n## three\n' >"$tree/sim/TEXT.md"
}

# expect STATUS SCRIPT WHAT: the script's verdict on the tree.
expect()
{
    bash "$here/$2" "$tree" "$cc" >"$tree.log" 2>&1
    local status=$?
    if [ "$status" -eq 77 ]; then
        echo "$2: skipped: $(tail -n 1 "$tree.log")"
    elif [ "$status" -ne "$1" ]; then
        echo "$2 gave $status, not $1, on: $3"
        cat "$tree.log"
        failed=1
    fi
    rm -f "$tree.log"
}

# breach SCRIPT FILE LINE...: the lines, appended to the file, are found.
breach()
{
    local script=$1 file=$2
    shift 2
    fresh_tree
    expect 0 "$script" "a sound tree"
    mkdir -p "$(dirname "$tree/$file")"
    printf '%s\n' "$@" >>"$tree/$file"
    expect 1 "$script" "$file: $1"
}

breach standalone.sh include/vidur/error.h 'size_t vidur_size(void);'
breach standalone.sh include/vidur/error.h '#include "b.h"'
breach standalone.sh include/vidur/error.h 'struct vidur_twice { int a; };'

breach floors.sh include/vidur/unheard.h 'int vidur_unheard(void);'
breach floors.sh include/vidur/error.h '#include <mpi.h>'
breach floors.sh include/vidur/error.h '#include <vidur/model.h>'
breach floors.sh include/vidur/error.h '#include "base/text.h"'
breach floors.sh estimator/base/text.h '#include <vidur/model.h>'
breach floors.sh sim/a.c '#include <vidur/space.h>'
breach floors.sh sim/a.c '#include <vidur/forest.h>'
breach floors.sh sim/a.c '#include "b.h"'
breach floors.sh sim/load/draws.h '#include "schedulers/registry.h"'
breach floors.sh sim/attic/a.h '/* The room sim/attic. */'
fresh_tree
echo 'int vidur_load(void);' >"$tree/sim/load/draws.h"
expect 1 floors.sh "a room without a word"
breach floors.sh sim/a.c '#include <yaml.h>'
breach floors.sh estimator/base/text.c '#include <yaml.h>'
breach floors.sh estimator/base/text.h '#include <zlib.h>'
breach floors.sh search/b.c 'void g(void) { printf("x"); }'
breach floors.sh search/b.c 'void g(void) { fputs("x", stderr); }'
breach floors.sh search/b.c 'void g(void) { exit(1); }'

breach policies.sh search/b.c 'bool g(const char *s) { return strcmp(s, "fifo") == 0; }'
breach policies.sh sim/schedulers/sjf.c 'static const char *other = "fifo";'
breach policies.sh include/vidur/model.h '#define KNOBS(X) X(cap, "all but fifo")'
breach policies.sh include/vidur/model.h '#define KNOBS(X) X(cap, "sjf, lifo")'
breach policies.sh sim/a.c 'void g(struct a *account) { account->num_batches += 2; }'
breach policies.sh sim/a.c 'void g(struct a *account) { account->stages[1].busy_s = 2; }'
breach policies.sh search/report/page.js "if (row.scheduler === 'sjf')"

breach format.sh search/b.c 'int   g( void ) ;'

breach sizes.sh search/b.c 'static int counter;'
breach sizes.sh search/b.c 'static struct {' '    int a;' '} state;'
breach sizes.sh search/b.c 'int g(int a, int b, int c, int d, int e, int h)' '{' \
    '    return a + b + c + d + e + h;' '}'
breach sizes.sh search/b.c 'int g(void)' '{' "$(yes '    ;' | head -n 100)" '    return 0;' '}'
breach sizes.sh search/b.c $(seq -f '/* %g */' 700)

breach citations.sh search/b.c '/* TEXT.md section 3. */'
breach citations.sh search/b.c '/* Source: TEXT.md' ' * sections 1 and 2. */'
breach citations.sh search/b.c '/* Source: TEXT.md sections' ' * 1 to 1.3. */'
breach citations.sh search/b.c '/* NONE.md section 1. */'
breach citations.sh search/b.c '/* TEXT.md, "four". */'
breach citations.sh search/b.c '/* As NONE.md says. */'
breach citations.sh sim/TEXT.md 'See TEXT.md section 4.'
fresh_tree
printf '/* TEXT.md sections 1 to 1.2; TEXT.md\n * section 1. TEXT.md, "three". */\n' \
    >>"$tree/search/b.c"
expect 0 citations.sh "sections that exist"

breach names.sh sim/TEXT.md 'The function `vidur_none` does it.'
breach names.sh sim/TEXT.md '```sh' 'vidur-search c.yaml --none 3' '```'
breach names.sh sim/TEXT.md 'The key `none: 3` says so.'
breach names.sh sim/TEXT.md 'See `sim/none.yaml`.'
breach names.sh sim/TEXT.md 'See `none.c`, `b.c`.'
breach names.sh sim/TEXT.md 'See [the text](sim/NONE.md).' 'See `sim/loads/`.'
fresh_tree
printf '%s\n' 'See `vidur_error`, `sim/*.c` and [it](sim/TEXT.md), `schedulers/registry.h`,' \
    '`sim/schedulers/NAME.c`, `sim/{load,replica}`; `name: fifo`.' >>"$tree/sim/TEXT.md"
expect 0 names.sh "names that exist"

fresh_tree
printf 'static const struct {\n    int a;\n} table[] = {{1}};\n' >>"$tree/search/b.c"
printf 'int g(int a, int (*f)(int, int), int c, int d, int e)\n{\n    return a;\n}\n' \
    >>"$tree/search/b.c"
printf 'int h(void)\n{\n    return 0;\n}\n' >>"$tree/search/b.c"
expect 0 sizes.sh "an unnamed const struct, a function pointer"
exit $failed
