/* Runs recorded jobs (recorded_jobs.py) at a level of the instruction sets and compares what they leave in memory, byte by
   byte; float32 sums, whose order is free, within rounding. Each array ends where a page without access begins, so that a
   read or write behind it ends the program.

       replay FILE LEVEL       exit code 0 where all is equal, 1 where not, 2 where the level is not here */
#include "kernels.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct Team Team;
int32_t dqviz_levels(void);
Team *dqviz_team_start(int32_t others);
void dqviz_team_stop(Team *team);
void dqviz_run(Team *team, const Program *program);

enum { MOST = 64, FLOATS = 4 }; /* arrays of a job; the kind of a job in float32 */

typedef struct {
    int64_t bytes;
    uint8_t *now, *expected, *pages;
    size_t mapped;
} Array;

static void take(void *to, size_t bytes, FILE *file) {
    if (fread(to, 1, bytes, file) != bytes) {
        fprintf(stderr, "the file ends early\n");
        exit(2);
    }
}

static int64_t number(FILE *file) {
    int64_t value;
    take(&value, 8, file);
    return value;
}

static void read_array(Array *array, FILE *file) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    array->bytes = number(file);
    array->mapped = ((size_t)array->bytes + page - 1) / page * page + page;
    array->pages = mmap(NULL, array->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (array->pages == MAP_FAILED || mprotect(array->pages + array->mapped - page, page, PROT_NONE))
        exit(2);
    array->now = array->pages + array->mapped - page - array->bytes;
    array->expected = malloc((size_t)array->bytes + 1);
    take(array->now, (size_t)array->bytes, file);
    take(array->expected, (size_t)array->bytes, file);
}

static int close_to(const float *a, const float *b, int64_t count) {
    for (int64_t k = 0; k < count; k++) {
        const float gap = a[k] > b[k] ? a[k] - b[k] : b[k] - a[k];
        if (!(gap <= 1e-4f))
            return 0;
    }
    return 1;
}

/* The first array of the job that differs, or -1. Array 0 is the job itself and holds addresses. */
static int replay(FILE *file, int32_t level, int64_t *kind) {
    Array arrays[MOST];
    *kind = number(file);
    const int32_t threads = (int32_t)number(file);
    const int64_t level_at = number(file), count = number(file);
    if (count > MOST)
        exit(2);
    for (int64_t i = 0; i < count; i++)
        read_array(&arrays[i], file);
    int structs[MOST] = {1};
    for (int64_t left = number(file); left > 0; left--) {
        const int64_t in = number(file), at = number(file), to = number(file), offset = number(file);
        const uint8_t *target = arrays[to].now + offset;
        memcpy(arrays[in].now + at, &target, sizeof target);
        structs[in] = 1;
    }
    memcpy(arrays[0].now + level_at, &level, sizeof level);
    const Step step = {(int32_t)*kind, threads, arrays[0].now};
    const Program program = {threads, 1, &step};
    Team *team = threads > 1 ? dqviz_team_start(threads - 1) : NULL;
    dqviz_run(team, &program);
    if (team)
        dqviz_team_stop(team);
    int differs = -1;
    for (int i = (int)count - 1; i >= 0; i--) {
        const Array *a = &arrays[i];
        if (!structs[i] && memcmp(a->now, a->expected, (size_t)a->bytes) &&
            !(*kind == FLOATS && close_to((float *)a->now, (float *)a->expected, a->bytes / 4)))
            differs = i;
        munmap(a->pages, a->mapped);
        free(a->expected);
    }
    return differs;
}

int main(int count, char **words) {
    FILE *file = count == 3 ? fopen(words[1], "rb") : NULL;
    const int32_t level = count == 3 ? atoi(words[2]) : 0;
    if (!file || !(dqviz_levels() >> level & 1)) {
        fprintf(stderr, file ? "level %d is not here\n" : "replay FILE LEVEL: no file\n", level);
        return 2;
    }
    const int64_t jobs = number(file);
    int64_t wrong = 0;
    for (int64_t job = 0; job < jobs; job++) {
        int64_t kind;
        const int array = replay(file, level, &kind);
        if (array >= 0 && wrong++ < 10)
            printf("job %d of kind %d: array %d differs\n", (int)job, (int)kind, array);
    }
    printf("%d of %d jobs equal\n", (int)(jobs - wrong), (int)jobs);
    return wrong > 0;
}
