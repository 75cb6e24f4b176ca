// Text to token ids and back, for every vocabulary kind Stoa reads: byte-level BPE, SentencePiece (BPE and unigram), WordPiece.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "models/formats/gguf.h"

namespace stoa::models {

using TokenId = std::int32_t;
inline constexpr TokenId kNoToken = -1;

struct EncodeOptions {
  bool add_special = true;     // bos/eos or [CLS]/[SEP], where the model asks for them
  bool parse_special = false;  // control tokens written in the text become those tokens: only for text that a template made,
                               // never for what a user typed
};

// Ids of the tokens with a role; kNoToken where the vocabulary has none.
struct SpecialTokens {
  TokenId bos = kNoToken, eos = kNoToken, eot = kNoToken, unk = kNoToken, pad = kNoToken, cls = kNoToken, sep = kNoToken, mask = kNoToken;
  // Filling in the middle: these stand before the text before it, before the text behind it, and before what is generated. All or none.
  TokenId fim_prefix = kNoToken, fim_suffix = kNoToken, fim_middle = kNoToken;

  bool fills_in() const { return fim_prefix != kNoToken && fim_suffix != kNoToken && fim_middle != kNoToken; }
};

// What stands around and between two texts that an encoder reads as one input: prefix, first, middle, second, suffix.
struct PairFrame {
  std::vector<TokenId> prefix, middle, suffix;
  int second_type = 0;  // token type of the second text and the suffix; all before is of type 0
};

class Vocabulary;
class TokenModel;

// Immutable: any number of threads may use one object. Any bytes may be encoded, valid UTF-8 or not.
class Tokenizer {
 public:
  // From the tokenizer.ggml.* metadata (models gpt2, llama, t5, bert). Copies what it needs: the file may be closed afterwards.
  // Errors: kUnsupported names what is not read; kDataLoss or kInvalidArgument names the contradictory key.
  static Result<Tokenizer> from_gguf(const GgufFile& file);
  // From Hugging Face's tokenizer.json (models BPE, WordPiece, Unigram with the common normalizers and pre-tokenizers).
  static Result<Tokenizer> from_json(std::string_view json, std::string_view name);
  static Result<Tokenizer> from_json_file(const std::filesystem::path& path);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  std::vector<TokenId> encode(std::string_view text, EncodeOptions options = {}) const;
  void encode(std::string_view text, EncodeOptions options, std::vector<TokenId>& out) const;  // appends

  // The bytes a token stands for, perhaps part of a character. Control tokens are empty unless show_special; so are unknown ids.
  std::string token_bytes(TokenId id, bool show_special = false) const;
  // The bytes of a whole sequence (SentencePiece's added leading space is taken off, WordPiece's "##" pieces are joined).
  std::string decode(std::span<const TokenId> ids, bool show_special = false) const;

  std::int32_t size() const;                       // ids are 0..size()-1
  TokenId find(std::string_view text) const;       // the token written exactly so in the vocabulary file, or kNoToken
  std::string_view token_text(TokenId id) const;   // as written in the vocabulary file
  const SpecialTokens& special() const;
  const PairFrame* pair_frame() const;             // null where the file does not say how pairs are put together
  bool is_control(TokenId id) const;
  bool is_end_of_generation(TokenId id) const;     // eos, eot and the tokens that end a turn in known families
  std::string_view kind() const;                   // "bpe", "spm", "unigram", "wordpiece"
  bool adds_bos() const;
  bool adds_eos() const;

 private:
  friend class TokenizerLoader;
  Tokenizer(std::unique_ptr<const Vocabulary> vocabulary, std::unique_ptr<const TokenModel> model);

  std::unique_ptr<const Vocabulary> vocabulary_;
  std::unique_ptr<const TokenModel> model_;
};

}  // namespace stoa::models
