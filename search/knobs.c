#include "knobs.h"

#include <string.h>

/* `names` is "a, b" or "a; a remark". */
static bool is_listed(const char *names, const char *name)
{
    for (size_t length; *names && *names != ';'; names += length) {
        names += strspn(names, ", ");
        length = strcspn(names, ",;");
        if (strlen(name) == length && strncmp(names, name, length) == 0)
            return true;
    }
    return false;
}

bool knob_is_used(const char *users, const char *scheduler)
{
    static const char all_but[] = "all but ";
    if (strncmp(users, all_but, sizeof all_but - 1) == 0)
        return !is_listed(users + sizeof all_but - 1, scheduler);
    return is_listed(users, "all") || is_listed(users, scheduler);
}
