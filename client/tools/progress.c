/* A progress bar on standard error, if that is a terminal. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/tools/tool.h"

#define WIDTH 30

static struct {
	bool on;
	const char *what;
	uint64_t total, done;
	double started, drawn;
} bar;

static void
draw(double now)
{
	double part = bar.total ? (double)bar.done / (double)bar.total : 1., took = now - bar.started;
	char fill[WIDTH + 1];
	int full = (int)(part * WIDTH);
	memset(fill, ' ', WIDTH);
	memset(fill, '#', (size_t)(full > WIDTH ? WIDTH : full));
	fill[WIDTH] = 0;
	fprintf(stderr, "\r%-20.20s [%s] %3.0f%% %8.1f MiB %7.1f MB/s", bar.what, fill, part * 100,
	    (double)bar.done / 1048576, took > 0 ? (double)bar.done / took / 1e6 : 0.);
	fflush(stderr);
	bar.drawn = now;
}

void
progress_start(const struct tool *tool, const char *what, uint64_t total)
{
	bar.on = !tool->json && !tool->quiet && isatty(STDERR_FILENO);
	bar.what = what;
	bar.total = total;
	bar.done = 0;
	bar.started = bar.drawn = tool_now();
}

/* From the copying thread only; drawn ten times a second. */
void
progress_add(uint64_t bytes)
{
	bar.done += bytes;
	if (!bar.on)
		return;
	double now = tool_now();
	if (now - bar.drawn > .1)
		draw(now);
}

void
progress_end(void)
{
	if (!bar.on)
		return;
	draw(tool_now());
	fputc('\n', stderr);
	bar.on = false;
}
