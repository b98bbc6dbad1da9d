#include "report/report_assets.h"
#include "report/report_json.h"

#include <stdlib.h>
#include <string.h>

/* Fills the template: {{NAME}} is an asset, or the title or the data. */

static void put_escaped(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '&')
            fputs("&amp;", out);
        else if (*text == '<')
            fputs("&lt;", out);
        else if (*text == '"')
            fputs("&quot;", out);
        else
            fputc(*text, out);
    }
}

static void put_title(FILE *out, const struct vidur_report_model *model)
{
    fputs("Deployment report: ", out);
    for (int i = 0; i < model->num_groups; i++) {
        if (i > 0 && strcmp(model->groups[i - 1].model, model->groups[i].model) == 0)
            continue;
        fputs(i ? ", " : "", out);
        put_escaped(out, model->groups[i].model);
    }
}

struct page {
    FILE *out;
    const struct vidur_report_model *model;
    const char *data; /* JSON */
};

static int put_part(const struct page *page, const char *name, size_t length,
                    struct vidur_error *err)
{
    char key[32];
    FILE *out = page->out;
    snprintf(key, sizeof key, "%.*s", (int)length, name);
    if (strcmp(key, "title") == 0) {
        put_title(out, page->model);
    } else if (strcmp(key, "data") == 0) {
        fputs(page->data, out);
    } else {
        const struct vidur_asset *asset = vidur_report_asset(key);
        if (!asset)
            return vidur_fail(err, VIDUR_EINVAL,
                              "the report's template names %s, which "
                              "this build does not hold",
                              key);
        fwrite(asset->data, 1, asset->size, out);
    }
    return 0;
}

static int fill_template(const struct page *page, struct vidur_error *err)
{
    const struct vidur_asset *template = vidur_report_asset("template.html");
    const char *at = template ? (const char *)template->data : "";
    for (;;) { /* assets end with a NUL that does not count */
        const char *open = strstr(at, "{{");
        const char *close = open ? strstr(open, "}}") : NULL;
        if (!close)
            break;
        fwrite(at, 1, (size_t)(open - at), page->out);
        if (put_part(page, open + 2, (size_t)(close - open - 2), err))
            return -1;
        at = close + 2;
    }
    fputs(at, page->out);
    return 0;
}

int vidur_report_html(FILE *out, const struct vidur_results *results,
                      const struct vidur_report_options *options,
                      struct vidur_error *err)
{
    struct vidur_report_model model;
    if (!vidur_report_asset("chart.js"))
        return vidur_fail(err, VIDUR_EINVAL,
                          "this build has no chart library; install libjs-chart.js "
                          "(Debian, Ubuntu) or Chart.js 3 or 4 elsewhere, configure "
                          "with -DVIDUR_CHART_JS=PATH/chart.min.js and build again");
    char *data = NULL;
    int failed = vidur_report_model_make(&model, results, options, err);
    if (!failed)
        data = vidur_report_json(&model, options, err);
    failed = !data || fill_template(&(struct page){out, &model, data}, err);
    free(data);
    vidur_report_model_release(&model);
    return failed ? -1 : 0;
}
