// For tests: certificates made on the spot, as PEM files in a folder of their own.
#pragma once

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

namespace stoa::infra {

// A key pair and its certificate. Signed by `issuer`, or by itself (and then able to sign others).
class TestCertificate {
 public:
  // `names` as OpenSSL writes subject alternative names: "IP:127.0.0.1", "DNS:a.test,URI:spiffe://house/a".
  explicit TestCertificate(const std::string& names, const TestCertificate* issuer = nullptr, long lifetime_seconds = 3600)
      : key_(EVP_EC_gen("P-256"), EVP_PKEY_free), certificate_(X509_new(), X509_free) {
    std::string pattern = (std::filesystem::temp_directory_path() / "stoa-tls-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    static long serial = 0;
    X509* const x509 = certificate_.get();
    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(x509), -7200);
    X509_gmtime_adj(X509_getm_notAfter(x509), lifetime_seconds);
    X509_set_pubkey(x509, key_.get());
    X509_NAME* const subject = X509_get_subject_name(x509);
    const std::string name = "test " + std::to_string(serial);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_set_issuer_name(x509, issuer == nullptr ? subject : X509_get_subject_name(issuer->certificate_.get()));
    if (!names.empty()) extend(NID_subject_alt_name, names);
    if (issuer == nullptr) extend(NID_basic_constraints, "critical,CA:TRUE");
    X509_sign(x509, issuer == nullptr ? key_.get() : issuer->key_.get(), EVP_sha256());
    write_to(folder_ + "/cert.pem", folder_ + "/key.pem");
  }
  ~TestCertificate() { std::filesystem::remove_all(folder_); }
  TestCertificate(const TestCertificate&) = delete;
  TestCertificate& operator=(const TestCertificate&) = delete;

  std::string certificate() const { return folder_ + "/cert.pem"; }
  std::string key() const { return folder_ + "/key.pem"; }
  const std::string& folder() const { return folder_; }
  std::string sha256() const { return fingerprint(certificate_.get()); }

  void write_to(const std::string& certificate, const std::string& key) const {
    const std::unique_ptr<BIO, decltype(&BIO_free_all)> out(BIO_new_file(certificate.c_str(), "w"), BIO_free_all);
    PEM_write_bio_X509(out.get(), certificate_.get());
    const std::unique_ptr<BIO, decltype(&BIO_free_all)> secret(BIO_new_file(key.c_str(), "w"), BIO_free_all);
    PEM_write_bio_PrivateKey(secret.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
  }

  static std::string fingerprint(const X509* certificate) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    X509_digest(certificate, EVP_sha256(), digest, &size);
    std::string text;
    for (unsigned i = 0; i < size; ++i) {
      text += "0123456789abcdef"[digest[i] >> 4];
      text += "0123456789abcdef"[digest[i] & 15];
    }
    return text;
  }

 private:
  void extend(int nid, const std::string& value) {
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
    X509_add_ext(certificate_.get(), extension, -1);
    X509_EXTENSION_free(extension);
  }

  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_;
  std::unique_ptr<X509, decltype(&X509_free)> certificate_;
  std::string folder_;
};

}  // namespace stoa::infra
