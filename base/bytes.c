/* bytes — the variable-length integers of bytes.h. */
#include "base/bytes.h"

int view_varint(struct view *v, uint64_t *ret)
{
    uint64_t value = 0;

    for (size_t i = 0; i < VARINT_BYTES_MAX && i < v->left; i++) {
        uint8_t octet = v->at[i];

        if (i == VARINT_BYTES_MAX - 1 && octet > 1)
            return -1; /* more than 64 bits */
        value |= (uint64_t)(octet & 0x7f) << (7 * i);
        if (octet & 0x80)
            continue;
        if (octet == 0 && i > 0)
            return -1; /* a shorter form exists */
        v->at += i + 1;
        v->left -= i + 1;
        *ret = value;
        return 0;
    }
    return -1;
}

int sink_varint(struct sink *s, uint64_t value)
{
    uint8_t octets[VARINT_BYTES_MAX];
    size_t n = 0;

    do {
        octets[n] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
        n++;
    } while (value > 0);
    return sink_put(s, octets, n);
}
