/* SPDX-License-Identifier: Apache-2.0 */
/* A loop of its own, one child per program, with standard output and error through pipes. */

#define _GNU_SOURCE
#include "system/check/run.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <unistd.h>

#include "world/real.h"

static bool has_answered(const struct program_run *run, bool and_errors)
{
    return run->exited && uv_is_closing((const uv_handle_t *)&run->output) &&
           (!and_errors || uv_is_closing((const uv_handle_t *)&run->errors));
}

static void close_pipe(uv_pipe_t *pipe)
{
    if (!uv_is_closing((uv_handle_t *)pipe))
        uv_close((uv_handle_t *)pipe, NULL);
}

static void lose_patience(struct world_timer *timer)
{
    struct program_run *run = timer->owner;
    run->late = !has_answered(run, false);
    run->left = run->late && run->exited;
    spawn_signal(&run->process, SIGKILL);
    /* Its own children may hold the pipes open: don't wait for what they might still say. */
    close_pipe(&run->output);
    close_pipe(&run->errors);
}

static void give_answer_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct program_run *run = handle->data;
    *buffer = uv_buf_init(run->buffer, sizeof run->buffer);
}

static void maybe_calm(struct program_run *run)
{
    if (has_answered(run, true))
        world_timer_stop(run->world, &run->patience);
}

static void take_output(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    struct program_run *run = stream->data;
    bool output = stream == (uv_stream_t *)&run->output;
    if (length >= 0) {
        text_append(output ? &run->said : &run->complained, buffer->base, (size_t)length);
        if (!run->said.overflow)
            return;
        run->too_much = true;
        spawn_signal(&run->process, SIGKILL);
    }
    close_pipe((uv_pipe_t *)stream);
    maybe_calm(run);
}

static void take_exit(struct spawned *process, int code, int signal)
{
    struct program_run *run = process->owner;
    run->exit_code = code;
    run->exit_signal = signal;
    run->exited = true;
    maybe_calm(run);
}

static void take_no_more(struct spawned *process)
{
    (void)process; /* its memory goes after the loop */
}

/* Opens a pipe from the program to us; returns the program's end. -1: no descriptors are left. */
static int open_from_program(uv_loop_t *loop, uv_pipe_t *pipe)
{
    int ends[2];
    uv_pipe_init(loop, pipe, 0);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    FH_ASSERT(uv_pipe_open(pipe, ends[0]) == 0);
    return ends[1];
}

void program_runs_begin(struct program_runs *runs)
{
    struct fh_error error;
    FH_ASSERT(uv_loop_init(&runs->loop) == 0);
    runs->world = world_real_new(&runs->loop, &error);
    FH_ASSERT(runs->world != NULL);
}

void program_run_start(struct program_runs *runs, struct program_run *run,
                       const char *const *arguments)
{
    text_init(&run->said, run->said_max);
    text_init(&run->complained, PROGRAM_RUN_ERRORS_MAX);
    run->output.data = run->errors.data = run;
    struct spawn_options options = {
        .program = arguments[0],
        .arguments = (char *const *)(uintptr_t)arguments,
        .folder = run->folder,
        .also = run->also,
        .descriptors = {-1, open_from_program(&runs->loop, &run->output),
                        open_from_program(&runs->loop, &run->errors), -1, -1, -1, -1, -1}};
    run->process = (struct spawned){.ended = take_exit, .closed = take_no_more, .owner = run};
    run->spawned = spawn_start(&run->process, &runs->loop, &options, &run->why);
    for (int i = 1; i <= 2; i++) {
        if (options.descriptors[i] >= 0)
            close(options.descriptors[i]);
    }
    if (run->spawned != FH_OK) {
        close_pipe(&run->output);
        close_pipe(&run->errors);
        return;
    }
    uv_read_start((uv_stream_t *)&run->output, give_answer_buffer, take_output);
    uv_read_start((uv_stream_t *)&run->errors, give_answer_buffer, take_output);
    run->world = runs->world;
    run->patience = (struct world_timer){.fire = lose_patience, .owner = run};
    world_timer_start(run->world, &run->patience, world_in_ms(run->world, run->time_ms_max));
}

void program_runs_end(struct program_runs *runs)
{
    uv_run(&runs->loop, UV_RUN_DEFAULT);
    world_real_free(runs->world);
    uv_run(&runs->loop, UV_RUN_DEFAULT);
    FH_ASSERT(uv_loop_close(&runs->loop) == 0);
}

void program_run_release(struct program_run *run)
{
    text_release(&run->said);
    text_release(&run->complained);
}
