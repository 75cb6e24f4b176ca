#include "infra/keys/pkcs11/pkcs11.h"

#include <dlfcn.h>
#include <p11-kit/pkcs11.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <mutex>
#include <vector>

#include "infra/crypto/aead.h"
#include "infra/crypto/random.h"

namespace stoa::infra {
namespace {

constexpr std::string_view kProvider = "pkcs11";
constexpr CK_ULONG kTagBits = kAeadTagBytes * 8, kMaxSlots = 64, kMaxKeys = 1024;

// PKCS#11 v2.40, return values, as the few kinds of the port.
Error failed(std::string_view doing, CK_RV code) {
  switch (code) {
    case CKR_PIN_INCORRECT:
    case CKR_PIN_INVALID:
    case CKR_PIN_EXPIRED:
    case CKR_PIN_LOCKED:
    case CKR_PIN_LEN_RANGE:
      return error(ErrorCode::kPermissionDenied, "pkcs11: {}: the token refused the PIN (code {:#x})", doing, code).with_hint("check kms.pkcs11.pin_file; some tokens lock after a few attempts");
    case CKR_MECHANISM_INVALID:
    case CKR_FUNCTION_NOT_SUPPORTED:
      return error(ErrorCode::kUnsupported, "pkcs11: {}: the token does not know AES-GCM (code {:#x})", doing, code);
    case CKR_ENCRYPTED_DATA_INVALID:
    case CKR_ENCRYPTED_DATA_LEN_RANGE: return error(ErrorCode::kDataLoss, "pkcs11: {}: the bytes are not what the token sealed (code {:#x})", doing, code);
    default: return error(ErrorCode::kUnavailable, "pkcs11: {}: code {:#x}", doing, code).with_hint("check that the token is connected and the module works");
  }
}

bool session_is_gone(CK_RV code) {
  return code == CKR_SESSION_HANDLE_INVALID || code == CKR_SESSION_CLOSED || code == CKR_USER_NOT_LOGGED_IN || code == CKR_DEVICE_REMOVED || code == CKR_TOKEN_NOT_PRESENT ||
         code == CKR_CRYPTOKI_NOT_INITIALIZED;
}

CK_BYTE_PTR bytes_of(const void* data) { return static_cast<CK_BYTE_PTR>(const_cast<void*>(data)); }

// A label is 32 bytes, padded with blanks.
bool same_label(const CK_TOKEN_INFO& info, std::string_view label) {
  std::string_view shown(reinterpret_cast<const char*>(info.label), sizeof info.label);
  while (!shown.empty() && shown.back() == ' ') shown.remove_suffix(1);
  return shown == label;
}

struct Parameters {
  std::array<std::byte, kAeadNonceBytes> iv{};
  CK_GCM_PARAMS gcm{};
  CK_MECHANISM mechanism{};

  explicit Parameters(ByteSpan nonce, std::string_view context) {
    std::ranges::copy(nonce.first(iv.size()), iv.begin());
    gcm = {bytes_of(iv.data()), iv.size(), iv.size() * 8, bytes_of(context.data()), context.size(), kTagBits};
    mechanism = {CKM_AES_GCM, &gcm, sizeof gcm};
  }
  Parameters(const Parameters&) = delete;
  Parameters& operator=(const Parameters&) = delete;
};

class Pkcs11Keys final : public KeyManagement {
 public:
  explicit Pkcs11Keys(Pkcs11Options options) : options_(std::move(options)) {}
  ~Pkcs11Keys() override {
    wipe(std::as_writable_bytes(std::span(options_.pin)));
    if (functions_ != nullptr && session_ != 0) functions_->C_CloseSession(session_);
    if (initialized_) functions_->C_Finalize(nullptr);
    if (library_ != nullptr) ::dlclose(library_);
  }

  Status open(bool create) {
    STOA_CHECK(load());
    STOA_CHECK(connect());
    STOA_CHECK(find_keys());
    if (!keys_.empty()) return {};
    if (!create)
      return fail(error(ErrorCode::kNotFound, "pkcs11: there is no key '{}' in the token '{}', and the data folder was written with it", options_.key, options_.token)
                      .with_hint("restore the token, or check kms.pkcs11.key"));
    return make_key(1);
  }

  std::string_view provider() const override { return kProvider; }

  Result<WrappedKey> wrap(const SecretKey& key, std::string_view context) override {
    std::lock_guard lock(mutex_);
    STOA_TRY(nonce, random_bytes(kAeadNonceBytes));
    WrappedKey wrapped{std::string(kProvider), {}, {}};
    STOA_CHECK(in_session("wrap", [&]() -> CK_RV {
      const auto& [version, handle] = *keys_.rbegin();
      wrapped.master = std::to_string(version);
      Parameters parameters(nonce, context);
      if (const CK_RV code = functions_->C_EncryptInit(session_, &parameters.mechanism, handle); code != CKR_OK) return code;
      Bytes sealed(SecretKey::kBytes + kAeadTagBytes + 64);
      CK_ULONG size = sealed.size();
      const CK_RV code = functions_->C_Encrypt(session_, bytes_of(key.bytes().data()), SecretKey::kBytes, bytes_of(sealed.data()), &size);
      sealed.resize(code == CKR_OK ? size : 0);
      wrapped.blob = nonce;
      wrapped.blob.insert(wrapped.blob.end(), sealed.begin(), sealed.end());
      return code;
    }));
    return wrapped;
  }

  Result<SecretKey> unwrap(const WrappedKey& wrapped, std::string_view context) override {
    std::lock_guard lock(mutex_);
    if (wrapped.blob.size() != kAeadNonceBytes + SecretKey::kBytes + kAeadTagBytes) return fail(ErrorCode::kDataLoss, "pkcs11: the wrapped key for {} is cut off", context);
    STOA_TRY(version, version_of(wrapped.master));
    if (!keys_.contains(version)) STOA_CHECK(find_keys());  // another process may have made it
    if (!keys_.contains(version))
      return fail(error(ErrorCode::kNotFound, "pkcs11: there is no key '{}' of version {} in the token '{}'", options_.key, version, options_.token).with_hint("restore the token that this data folder was written with"));
    Bytes plain(SecretKey::kBytes + kAeadTagBytes + 64);
    CK_ULONG size = plain.size();
    bool refused = false;
    STOA_CHECK(in_session("unwrap", [&]() -> CK_RV {
      Parameters parameters(wrapped.blob, context);
      if (const CK_RV code = functions_->C_DecryptInit(session_, &parameters.mechanism, keys_.at(version)); code != CKR_OK) return code;
      const ByteSpan sealed = ByteSpan(wrapped.blob).subspan(kAeadNonceBytes);
      size = plain.size();
      const CK_RV code = functions_->C_Decrypt(session_, bytes_of(sealed.data()), sealed.size(), bytes_of(plain.data()), &size);
      // Tokens differ in what they call a tag that does not fit (SoftHSM: a general error).
      refused = code == CKR_GENERAL_ERROR || code == CKR_ENCRYPTED_DATA_INVALID || code == CKR_ENCRYPTED_DATA_LEN_RANGE || code == CKR_FUNCTION_FAILED;
      return refused ? CKR_OK : code;
    }));
    if (refused || size != SecretKey::kBytes) return fail(ErrorCode::kDataLoss, "pkcs11: the wrapped key for {} was changed, or belongs elsewhere", context);
    auto key = SecretKey::from(ByteSpan(plain).first(size));
    wipe(plain);
    return key;
  }

  Status rotate() override {
    std::lock_guard lock(mutex_);
    STOA_CHECK(find_keys());
    return make_key(keys_.empty() ? 1 : keys_.rbegin()->first + 1);
  }

  Result<MasterKeyStatus> describe() override {
    std::lock_guard lock(mutex_);
    STOA_CHECK(find_keys());
    MasterKeyStatus status{std::string(kProvider), fmt::format("token '{}', key '{}'", options_.token, options_.key), {}, {}};
    for (const auto& [version, handle] : keys_) status.versions.push_back(std::to_string(version));
    if (!status.versions.empty()) status.current = status.versions.back();
    return status;
  }

 private:
  Status load() {
    library_ = ::dlopen(options_.module.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library_ == nullptr) {
      const char* why = ::dlerror();
      return fail(error(ErrorCode::kNotFound, "pkcs11: cannot load the module {}: {}", options_.module, why == nullptr ? "" : why).with_hint("check kms.pkcs11.module"));
    }
    const auto list = reinterpret_cast<CK_C_GetFunctionList>(::dlsym(library_, "C_GetFunctionList"));
    if (list == nullptr || list(&functions_) != CKR_OK || functions_ == nullptr) {
      functions_ = nullptr;
      return fail(ErrorCode::kInvalidArgument, "pkcs11: {} is no PKCS#11 module", options_.module);
    }
    CK_C_INITIALIZE_ARGS arguments{};
    arguments.flags = CKF_OS_LOCKING_OK;
    const CK_RV code = functions_->C_Initialize(&arguments);
    if (code != CKR_OK && code != CKR_CRYPTOKI_ALREADY_INITIALIZED) return fail(failed("initialize", code));
    initialized_ = code == CKR_OK;
    return {};
  }

  Result<CK_SLOT_ID> find_slot() {
    std::array<CK_SLOT_ID, kMaxSlots> slots{};
    CK_ULONG count = slots.size();
    if (const CK_RV code = functions_->C_GetSlotList(CK_TRUE, slots.data(), &count); code != CKR_OK) return fail(failed("list the slots", code));
    for (CK_ULONG i = 0; i < count; ++i) {
      CK_TOKEN_INFO info{};
      if (functions_->C_GetTokenInfo(slots[i], &info) != CKR_OK) continue;
      if (same_label(info, options_.token)) return slots[i];
    }
    return fail(error(ErrorCode::kNotFound, "pkcs11: none of {} slots holds a token with the label '{}'", count, options_.token).with_hint("check kms.pkcs11.token; pkcs11-tool --list-slots shows them"));
  }

  Status connect() {
    STOA_TRY(slot, find_slot());
    if (session_ != 0) functions_->C_CloseSession(session_);
    session_ = 0;
    if (const CK_RV code = functions_->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr, &session_); code != CKR_OK) return fail(failed("open a session", code));
    const CK_RV code = functions_->C_Login(session_, CKU_USER, bytes_of(options_.pin.data()), options_.pin.size());
    if (code != CKR_OK && code != CKR_USER_ALREADY_LOGGED_IN) return fail(failed("log in", code));
    return {};
  }

  // Runs `work`; once more in a new session when the token has ended the old one.
  template <class Work>
  Status in_session(std::string_view doing, Work work) {
    CK_RV code = work();
    if (session_is_gone(code)) {
      STOA_CHECK(connect());
      STOA_CHECK(list_keys());
      code = work();
    }
    return code == CKR_OK ? Status{} : fail(failed(doing, code));
  }

  Status find_keys() {
    auto listed = list_keys();
    if (listed) return {};
    STOA_CHECK(connect());
    return list_keys();
  }

  Status list_keys() {
    CK_OBJECT_CLASS secret = CKO_SECRET_KEY;
    std::array<CK_ATTRIBUTE, 2> wanted{{{CKA_CLASS, &secret, sizeof secret}, {CKA_LABEL, options_.key.data(), options_.key.size()}}};
    if (const CK_RV code = functions_->C_FindObjectsInit(session_, wanted.data(), wanted.size()); code != CKR_OK) return fail(failed("look for keys", code));
    std::vector<CK_OBJECT_HANDLE> handles(kMaxKeys);
    CK_ULONG count = 0;
    const CK_RV code = functions_->C_FindObjects(session_, handles.data(), handles.size(), &count);
    functions_->C_FindObjectsFinal(session_);
    if (code != CKR_OK) return fail(failed("look for keys", code));
    keys_.clear();
    for (CK_ULONG i = 0; i < count; ++i) {
      std::array<char, 20> id{};
      CK_ATTRIBUTE attribute{CKA_ID, id.data(), id.size()};
      if (functions_->C_GetAttributeValue(session_, handles[i], &attribute, 1) != CKR_OK || attribute.ulValueLen > id.size()) continue;
      if (const auto version = version_of(std::string_view(id.data(), attribute.ulValueLen))) keys_[*version] = handles[i];
    }
    return {};
  }

  Status make_key(std::int64_t version) {
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_ULONG length = SecretKey::kBytes;
    std::string id = std::to_string(version);
    std::array<CK_ATTRIBUTE, 9> attributes{{{CKA_TOKEN, &yes, sizeof yes},
                                            {CKA_PRIVATE, &yes, sizeof yes},
                                            {CKA_SENSITIVE, &yes, sizeof yes},
                                            {CKA_EXTRACTABLE, &no, sizeof no},
                                            {CKA_ENCRYPT, &yes, sizeof yes},
                                            {CKA_DECRYPT, &yes, sizeof yes},
                                            {CKA_VALUE_LEN, &length, sizeof length},
                                            {CKA_LABEL, options_.key.data(), options_.key.size()},
                                            {CKA_ID, id.data(), id.size()}}};
    CK_MECHANISM mechanism{CKM_AES_KEY_GEN, nullptr, 0};
    CK_OBJECT_HANDLE handle = 0;
    STOA_CHECK(in_session("make a key", [&] { return functions_->C_GenerateKey(session_, &mechanism, attributes.data(), attributes.size(), &handle); }));
    keys_[version] = handle;
    return {};
  }

  static Result<std::int64_t> version_of(std::string_view text) {
    std::int64_t version = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), version);
    if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || version < 1) return fail(ErrorCode::kNotFound, "pkcs11: '{}' is no version of a master key", text.substr(0, 40));
    return version;
  }

  Pkcs11Options options_;
  std::mutex mutex_;  // one session, one thread at a time
  void* library_ = nullptr;
  CK_FUNCTION_LIST_PTR functions_ = nullptr;
  bool initialized_ = false;
  CK_SESSION_HANDLE session_ = 0;
  std::map<std::int64_t, CK_OBJECT_HANDLE> keys_;  // by version
};

}  // namespace

Result<std::unique_ptr<KeyManagement>> open_pkcs11_keys(Pkcs11Options options, bool create) {
  auto keys = std::make_unique<Pkcs11Keys>(std::move(options));
  STOA_CHECK(keys->open(create));
  return keys;
}

}  // namespace stoa::infra
