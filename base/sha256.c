/* sha256 — see sha256.h. */
#include "base/sha256.h"

#include <errno.h>
#include <stdint.h>

#include <openssl/evp.h>

int sha256_begin(struct sha256 *s)
{
    if (!s->context)
        s->context = EVP_MD_CTX_new();
    if (!s->context || EVP_DigestInit_ex(s->context, EVP_sha256(), NULL) != 1)
        return -ENOMEM;
    return 0;
}

void sha256_add(struct sha256 *s, const void *octets, size_t bytes)
{
    must(EVP_DigestUpdate(s->context, octets, bytes) == 1);
}

void sha256_hex(struct sha256 *s, char ret[SHA256_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t value[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    must(EVP_DigestFinal_ex(s->context, value, &n) == 1 && n == SHA256_BYTES);
    for (unsigned i = 0; i < n; i++) {
        ret[2 * i] = digits[value[i] >> 4];
        ret[2 * i + 1] = digits[value[i] & 0xf];
    }
    ret[2 * n] = '\0';
}

void sha256_close(struct sha256 *s)
{
    EVP_MD_CTX_free(s->context);
    s->context = NULL;
}
