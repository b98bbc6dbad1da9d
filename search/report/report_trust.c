#include "report/report_trust.h"

#include <stdio.h>
#include <string.h>

static bool is_measured(const char *device)
{
    static const char *const measured[] = {"h100", "b200"};
    for (size_t i = 0; i < sizeof measured / sizeof measured[0]; i++)
        if (strcmp(device, measured[i]) == 0)
            return true;
    return false;
}

void vidur_format_trust(const struct vidur_ranking_row *row, char *text, size_t size)
{
    const bool roofline = strstr(row->estimator, "roofline") != NULL;
    text[0] = 0;
    if (strncmp(row->estimator, "engine step model", 17) != 0)
        return;
    const int used =
        snprintf(text, size,
                 "of %d measurements of vLLM on H100 and B200 TPOT was missed by %.1f "
                 "%%, TTFT by %.1f %% (medians, data/FIDELITY.md)",
                 VIDUR_TRUST_CASES,
                 roofline ? VIDUR_TRUST_ROOFLINE_TPOT : VIDUR_TRUST_KERNELS_TPOT,
                 roofline ? VIDUR_TRUST_ROOFLINE_TTFT : VIDUR_TRUST_KERNELS_TTFT);
    if (used > 0 && (size_t)used < size)
        snprintf(text + used, size - (size_t)used,
                 "%s%s; leave a margin, or measure one replica",
                 is_measured(row->device) ? "" : "; none was of ",
                 is_measured(row->device) ? "" : row->device);
}
