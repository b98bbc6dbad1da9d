/* A test that has no comparison data, for skips.sh. */

#include "test.h"

int main(void)
{
    vidur_test_skip_golden();
    return 0;
}
