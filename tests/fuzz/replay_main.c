/* replay_main.c - runs a fuzz target over saved inputs: every regular file of the folders and files
 * named on the command line, in name order. Exit code 1 if nothing was found to run, since a test
 * that runs nothing proves nothing. A finding ends the process, as it does under libFuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    MAX_PATH_BYTES = 4096
};

static long n_run;

/* The input lies in a heap block of exactly its size, so that a sanitizer sees a read past it. */
static int run_file(const char *path, size_t size)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(size ? size : 1);
    int failed = !f || !data || fread(data, 1, size, f) != size;
    if (failed) {
        fprintf(stderr, "%s: cannot be read\n", path);
    } else {
        LLVMFuzzerTestOneInput(data, size);
        n_run++;
    }
    free(data);
    if (f)
        fclose(f);
    return failed;
}

static int run_folder(const char *path)
{
    struct dirent **entries;
    int n = scandir(path, &entries, NULL, alphasort);
    int failed = n < 0;
    for (int i = 0; i < n; i++) {
        char file[MAX_PATH_BYTES];
        int len = snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        struct stat st;
        if (len < 0 || len >= (int)sizeof file || stat(file, &st))
            failed = 1;
        else if (S_ISREG(st.st_mode))
            failed |= run_file(file, (size_t)st.st_size);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    return failed;
}

int main(int argc, char **argv)
{
    int failed = 0;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (stat(argv[i], &st)) {
            fprintf(stderr, "%s: no such file or folder\n", argv[i]);
            failed = 1;
        } else if (S_ISDIR(st.st_mode)) {
            failed |= run_folder(argv[i]);
        } else {
            failed |= run_file(argv[i], (size_t)st.st_size);
        }
    }
    printf("%ld inputs replayed\n", n_run);
    return failed || n_run == 0;
}
