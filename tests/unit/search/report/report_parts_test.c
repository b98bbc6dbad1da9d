#include "report/report.h"
#include "report/report_assets.h"
#include "report_text.h"
#include "synthetic_results.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What all forms of a report say of newer kinds of results, and of hostile ones. */

static const struct {
    const char *name;
    report_printer *put;
} forms[] = {{"ranking", vidur_report_terminal},
             {"answer", vidur_report_answer},
             {"Markdown", vidur_report_markdown},
             {"CSV", vidur_report_csv},
             {"HTML", vidur_report_html}};
enum { RANKING, ANSWER, MARKDOWN, CSV, HTML, NUM_FORMS };

static char *print(int form, const struct vidur_results *results,
                   const struct vidur_report_options *options)
{
    struct vidur_error err = {0};
    char *text = report_text(forms[form].put, results, options, &err);
    if (!text) {
        printf("\n%s: %s\n", forms[form].name, err.text);
        CU_FAIL_FATAL("a report failed");
    }
    return text;
}

static void check_has(int form, const char *text, const char *part, bool wanted)
{
    if ((strstr(text, part) != NULL) != wanted) {
        printf("\n%s %s: %s\n", forms[form].name, wanted ? "lacks" : "has", part);
        CU_FAIL("a text is wrong");
    }
}

static int num_forms(void)
{
    return vidur_report_asset("chart.js") ? NUM_FORMS : HTML;
}

/* ---- replicated, unbounded, bursts ---- */

/* The first row of the first group has every mark. */
static void make_marked(struct vidur_results *results,
                        struct vidur_report_options *only)
{
    synthetic_results(results, 60, 1);
    synthetic_replicate(results);
    struct vidur_ranking_row *row = results->ranking;
    while (row->rank != 1)
        row++;
    row->max_qps = 30.2;
    row->max_qps_low = 28.9;
    row->max_qps_high = 31;
    row->unbounded = 1;
    snprintf(row->reason, sizeof row->reason,
             "the workload is a burst rather than a load: 50 %%");
    *only = (struct vidur_report_options){
        .model = row->model, .trace = row->trace, .top = 1};
}

static void test_marks(void)
{
    struct vidur_results results;
    struct vidur_report_options only;
    make_marked(&results, &only);
    for (int form = RANKING; form <= MARKDOWN; form++) {
        char *text = print(form, &results, &only);
        check_has(form, text, "\xe2\x89\xa5 30.2 (28.9 to 31.0)*", true);
        check_has(form, text, "* the workload is a burst rather than a load: these ",
                  true);
        check_has(form, text, "\xe2\x89\xa5: at least; no load that was tried failed",
                  true);
        check_has(form, text, "(a to b): the least and the largest of the replications",
                  true);
        if (form != RANKING)
            check_has(form, text,
                      "28.9 QPS, at which the SLOs hold in all 5 replications; no load",
                      true);
        free(text);
    }
    only.load.target_qps = 28.9; /* the load that all replications hold */
    char *text = print(ANSWER, &results, &only);
    check_has(ANSWER, text, " of 28.9 QPS (simulated)", true);
    free(text);
    vidur_results_destroy(&results);
}

static int count_of(const char *text, const char *part)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        count++;
    return count;
}

/* The end of a search explains its marks once. */
static void test_marks_once(void)
{
    struct vidur_results results;
    synthetic_results(&results, 60, 1);
    synthetic_replicate(&results);
    char *text = print(RANKING, &results, NULL);
    CU_ASSERT(count_of(text, " rank  SKU") > 1);
    CU_ASSERT_EQUAL(count_of(text, "(a to b): the least"), 1);
    free(text);
    vidur_results_destroy(&results);
}

/* A row for each model and workload, and notes. */
static void test_brief(void)
{
    struct vidur_results results;
    synthetic_results(&results, 60, 1);
    for (int loaded = 0; loaded < 2; loaded++) {
        const struct vidur_report_options brief = {
            .brief = true, .load = {.target_qps = 5.0 * loaded}};
        char *text = print(ANSWER, &results, &brief);
        check_has(ANSWER, text,
                  loaded ? "What to rent for 5.00 QPS within TTFT P90 2.00 s, "
                         : "What to rent within TTFT P90 2.00 s, ",
                  true);
        CU_ASSERT_EQUAL(count_of(text, "  simulated  ") + count_of(text, "  scaled  "),
                        6);
        CU_ASSERT_EQUAL(count_of(text, ", batch size "), 6);
        check_has(ANSWER, text, "note: Test data made from formulas", true);
        check_has(ANSWER, text, "Launch", false);
        free(text);
    }
    struct vidur_results slow; /* so slow that no number of replicas carries it */
    synthetic_results(&slow, 60, 1);
    for (int64_t i = 0; i < slow.num_ranking; i++)
        slow.ranking[i].max_qps = 1e-6;
    const struct vidur_report_options much = {.brief = true,
                                              .load = {.target_qps = 1e8}};
    char *text = print(ANSWER, &slow, &much);
    CU_ASSERT_EQUAL(count_of(text, "  nothing serves it  "), 6);
    CU_ASSERT_EQUAL(count_of(text, "  scaled  ") + count_of(text, "  simulated  "), 0);
    free(text);
    vidur_results_destroy(&slow);
    synthetic_retarget(&results, 50);
    text = print(ANSWER, &results, &(struct vidur_report_options){.brief = true});
    check_has(ANSWER, text, "What to rent for 50.0 QPS within ", true);
    check_has(ANSWER, text, "QPS at least", true);
    check_has(ANSWER, text, "  50.0  simulated  ", true);
    free(text);
    vidur_results_destroy(&results);
}

/* "0 %" would be said of what costs nothing. */
static void test_next_best(void)
{
    struct vidur_results results;
    synthetic_results(&results, 60, 1);
    char *text = print(ANSWER, &results, NULL);
    check_has(ANSWER, text, " % a query\n", true);
    free(text);
    for (int64_t i = 0; i < results.num_ranking; i++)
        results.ranking[i].qps_per_dollar = 2;
    text = print(ANSWER, &results, NULL);
    check_has(ANSWER, text, ", a query costs the same\n", true);
    check_has(ANSWER, text, " a query\n", false);
    free(text);
    vidur_results_destroy(&results);
}

static void test_no_marks(void)
{
    struct vidur_results results;
    synthetic_results(&results, 60, 1);
    for (int form = RANKING; form <= MARKDOWN; form++) {
        char *text = print(form, &results, NULL);
        check_has(form, text, "burst", false);
        check_has(form, text, "\xe2\x89\xa5", false);
        check_has(form, text, "replications", false);
        free(text);
    }
    vidur_results_destroy(&results);
}

/* ---- a search for a load ---- */

static void test_target(void)
{
    struct vidur_results results;
    synthetic_results(&results, 60, 1);
    synthetic_retarget(&results, 50);
    for (int form = 0; form < num_forms(); form++) {
        char *text = print(form, &results, NULL);
        if (form <= MARKDOWN) {
            check_has(form, text, "For 50.0 QPS", true);
            check_has(form, text, "SLO's limit (simulated)", true);
            check_has(form, text, "margin", true);
            check_has(form, text, "QPS/$", false);
            check_has(form, text, "nan", false);
        }
        free(text);
    }
    const struct vidur_report_options other = {.load.target_qps = 100};
    char *text = print(ANSWER, &results, &other);
    check_has(ANSWER, text, "For 100 QPS: rent ", true);
    check_has(ANSWER, text, ", not simulated)", true);
    check_has(ANSWER, text, "For 50.0 QPS", false);
    free(text);
    vidur_results_destroy(&results);
}

static void test_target_compared(void)
{
    struct vidur_results before, after;
    char *text = NULL;
    size_t size = 0;
    synthetic_results(&before, 60, 1);
    synthetic_results(&after, 60, 1);
    synthetic_retarget(&before, 50);
    synthetic_retarget(&after, 50);
    for (int64_t i = 0; i < after.num_ranking; i++)
        if (after.ranking[i].rank == 1)
            after.ranking[i].usd_per_hour /= 2;
    FILE *out = open_memstream(&text, &size);
    CU_ASSERT_EQUAL(vidur_report_compare(out, &before, &after, NULL, NULL), 0);
    fclose(out);
    check_has(ANSWER, text, "6 changed, 0 only before", true);
    check_has(ANSWER, text, "+100.0 %", true);
    free(text);
    vidur_results_destroy(&before);
    vidur_results_destroy(&after);
}

/* ---- names that attack ---- */

static bool is_clean(const char *text)
{
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        if ((c < 0x20 && c != '\n') || c == 0x7f ||
            (c == 0xc2 && (unsigned char)text[1] < 0xa0))
            return false;
    }
    return true;
}

static void test_attacks(void)
{
    struct vidur_results results;
    synthetic_results(&results, 60, 1);
    synthetic_attack(&results);
    const struct vidur_report_options plain = {.source = "a\x1b[2Jb.h5", .top = 20},
                                      sized = {.load.target_qps = 50};
    for (int form = RANKING; form <= MARKDOWN; form++) {
        for (int i = 0; i < 2; i++) {
            char *text = print(form, &results, i ? &sized : &plain);
            CU_ASSERT_TRUE(is_clean(text));
            check_has(form, text, "\\x1b[2J", true);
            if (form == MARKDOWN) {
                check_has(form, text, "<img", false);
                check_has(form, text, "<script", false);
                check_has(form, text, "<b>", false);
            }
            free(text);
        }
    }
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    CU_ASSERT_EQUAL(vidur_report_compare(out, &results, &results, NULL, NULL), 0);
    fclose(out);
    CU_ASSERT_TRUE(is_clean(text));
    free(text);
    vidur_results_destroy(&results);
}

static void test_formulas(void)
{
    struct vidur_results results;
    synthetic_results(&results, 60, 1);
    synthetic_attack(&results);
    for (int64_t i = 0; i < results.num_ranking; i++)
        results.ranking[i].margin = -0.5;
    char *text = print(CSV, &results, NULL);
    check_has(CSV, text, ",'=cmd|'/C calc'!A0 ", false); /* quoted: it has a newline */
    check_has(CSV, text, ",\"'=cmd|'/C calc'!A0 ", true);
    check_has(CSV, text, ",'@node", true);
    check_has(CSV, text, ",\"'+s\r", true);
    check_has(CSV, text, ",\"'-1\t", true);
    check_has(CSV, text, ",'=b", true);
    check_has(CSV, text, ",\"'\t=1", true);
    check_has(CSV, text, ",-0.5,", true); /* a number */
    check_has(CSV, text, ",=", false);
    check_has(CSV, text, ",@", false);
    check_has(CSV, text, ",+", false);
    check_has(CSV, text, ",\"=", false);
    free(text);
    if (num_forms() > HTML) {
        text = print(HTML, &results, NULL);
        check_has(HTML, text, "<img", false);
        check_has(HTML, text, "\\u003cimg", true);
        check_has(HTML, text, "\x1b", false);
        free(text);
    }
    vidur_results_destroy(&results);
}

VIDUR_TEST_MAIN("parts of a report", {"marks of a ranking", test_marks},
                {"marks of all rankings", test_marks_once},
                {"what to rent alone", test_brief}, {"the next best", test_next_best},
                {"no marks where there is nothing to say", test_no_marks},
                {"a search for a load", test_target},
                {"two searches for a load", test_target_compared},
                {"names cannot control a terminal", test_attacks},
                {"cells are no formulas", test_formulas})
