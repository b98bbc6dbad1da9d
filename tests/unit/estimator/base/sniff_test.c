#include "base/sniff.h"
#include "test.h"

#include <string.h>

static void expect(const char *bytes, size_t size, const char *what)
{
    const char *found = vidur_sniff(bytes, size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    CU_ASSERT_STRING_EQUAL(found, what);
}

static void test_formats(void)
{
    expect("PK\x03\x04rest", 8, "a zip archive or a spreadsheet (.xlsx)");
    expect("PAR1\0\0", 6, "Parquet");
    expect("\x28\xb5\x2f\xfd", 4, "Zstandard data");
    expect("\x89HDF\r\n\x1a\n", 8, "HDF5");
    expect("\xff\xfe,\0", 4, "UTF-16 text");
    expect("<html>", 6, "HTML");
    expect("version https://git-lfs.github.com/spec/v1", 42,
           "a Git LFS pointer, not the file itself");
    expect("{", 1, "JSON");
    expect(" \n\t[1]", 6, "JSON");
    expect("a,b\n\x01\x02", 6, "binary data");
}

static void test_text_is_let_through(void)
{
    static const char *const texts[] = {
        "",        "a,b\n1,2\n", "\357\273\277a,b\n", "\"{a}\",b\n",
        "PAR,1\n", "ORCA,x\n",   "\xc3\xa9,b\r\n",    "PK",
        "a\tb\f\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        CU_ASSERT_PTR_NULL(vidur_sniff(texts[i], strlen(texts[i])));
    CU_ASSERT_PTR_NULL(vidur_sniff("a\0b", 3)); /* readers know its line */
}

VIDUR_TEST_MAIN("sniff", {"formats", test_formats},
                {"text is let through", test_text_is_let_through})
