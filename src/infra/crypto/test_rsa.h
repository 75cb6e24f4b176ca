// A fresh RSA key pair, for tests.
#pragma once

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <string>

#include "base/bytes.h"

namespace stoa::infra {

struct TestRsaKey {
  std::string private_pem;
  Bytes modulus, exponent;  // big-endian

  explicit TestRsaKey(unsigned bits = 2048) {
    EVP_PKEY* key = EVP_RSA_gen(bits);
    BIO* out = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
    char* text = nullptr;
    const long size = BIO_get_mem_data(out, &text);
    private_pem.assign(text, static_cast<std::size_t>(size));
    BIO_free(out);
    modulus = number(key, OSSL_PKEY_PARAM_RSA_N);
    exponent = number(key, OSSL_PKEY_PARAM_RSA_E);
    EVP_PKEY_free(key);
  }

 private:
  static Bytes number(EVP_PKEY* key, const char* name) {
    BIGNUM* value = nullptr;
    EVP_PKEY_get_bn_param(key, name, &value);
    Bytes out(static_cast<std::size_t>(BN_num_bytes(value)));
    BN_bn2bin(value, reinterpret_cast<unsigned char*>(out.data()));
    BN_free(value);
    return out;
  }
};

}  // namespace stoa::infra
