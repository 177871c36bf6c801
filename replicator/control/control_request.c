/* control_request — the decoder of control.h: one line from a socket, judged before anybody acts. */
#include <errno.h>
#include <string.h>

#include "replicator/control/control.h"

static const char *const op_words[] = {
#define X(name, word) [CONTROL_##name] = word,
    CONTROL_OPS(X)
#undef X
};

static int op_parse(const json_t *root, enum control_op *ret, struct err *e)
{
    const char *word = json_string_value(json_object_get(root, "op"));

    if (!word)
        return err_set(e, EINVAL, "want {\"op\":\"status\"} or another op");
    for (size_t i = 0; i < ARRAY_LEN(op_words); i++)
        if (strcmp(op_words[i], word) == 0) {
            *ret = (enum control_op)i;
            return 0;
        }
    return err_set(e, EINVAL, "there is no op \"%.40s\"", word);
}

/* Who says so ends up in logs: printable, and short enough for a line. */
static int who_parse(const json_t *root, char ret[CONTROL_WHO_MAX + 1], struct err *e)
{
    const json_t *who = json_object_get(root, "fenced_by");
    const char *text = json_string_value(who);

    if (!who || json_is_null(who))
        return 0;
    if (!text || !*text || strlen(text) > CONTROL_WHO_MAX)
        return err_set(e, EINVAL, "fenced_by must be 1 to %u octets of text", CONTROL_WHO_MAX);
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f || *at == '"')
            return err_set(e, EINVAL, "fenced_by must be printable, without quotes");
    memcpy(ret, text, strlen(text) + 1);
    return 0;
}

static int root_parse(const json_t *root, struct control_request *ret, struct err *e)
{
    const json_t *epochs = json_object_get(root, "epochs");
    struct control_request got = { .op = CONTROL_STATUS };
    int rc;

    if ((rc = op_parse(root, &got.op, e)) < 0 || (rc = who_parse(root, got.fenced_by, e)) < 0)
        return rc;
    if (epochs && !json_is_boolean(epochs))
        return err_set(e, EINVAL, "epochs must be true or false");
    got.epochs = json_is_true(epochs);
    *ret = got;
    return 0;
}

int control_request_parse(const char *line, size_t bytes, struct control_request *ret, struct err *e)
{
    json_error_t fault;
    json_t *root = json_loadb(line, bytes, JSON_REJECT_DUPLICATES, &fault);
    int rc;

    if (!root)
        return err_set(e, EINVAL, "not a line of JSON: %s", fault.text);
    rc = json_is_object(root) ? root_parse(root, ret, e) : err_set(e, EINVAL, "not a JSON object");
    json_decref(root);
    return rc;
}
