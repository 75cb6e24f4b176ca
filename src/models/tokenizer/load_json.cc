// Tokenizers from Hugging Face's tokenizer.json (format: the `tokenizers` library's serialisation).
#include "models/tokenizer/tokenizer_loader.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/json.h"
#include "infra/crypto/encoding.h"
#include "infra/files/mapped_file.h"
#include "models/tokenizer/byte_bpe.h"
#include "models/tokenizer/sentencepiece.h"
#include "models/tokenizer/wordpiece.h"

namespace stoa::models {
namespace {

constexpr std::size_t kMaxSteps = 16;  // of a normalizer or pre-tokenizer sequence

const JsonObject* object_at(const JsonObject& object, std::string_view key) {
  const Json* value = find(object, key);
  return value == nullptr ? nullptr : value->if_object();
}
const JsonArray* array_at(const JsonObject& object, std::string_view key) {
  const Json* value = find(object, key);
  return value == nullptr ? nullptr : value->if_array();
}
std::string_view text_at(const JsonObject& object, std::string_view key) {
  const Json* value = find(object, key);
  return value == nullptr || !value->is_string() ? std::string_view() : std::string_view(value->get_string());
}
bool flag_at(const JsonObject& object, std::string_view key, bool fallback) {
  const Json* value = find(object, key);
  return value == nullptr || !value->is_bool() ? fallback : value->get_bool();
}

std::unexpected<Error> unsupported(std::string_view what, std::string_view name) {
  return fail(ErrorCode::kUnsupported, "{} '{}' is not supported", what, name.substr(0, 400));
}

// A step, or the steps of a "Sequence" in order; nothing for null.
Result<std::vector<const JsonObject*>> steps_of(const JsonObject& root, std::string_view key, std::string_view list) {
  std::vector<const JsonObject*> out;
  const auto* top = object_at(root, key);
  if (top == nullptr) return out;
  if (text_at(*top, "type") != "Sequence") {
    out.push_back(top);
    return out;
  }
  const auto* steps = array_at(*top, list);
  if (steps == nullptr || steps->size() > kMaxSteps) return fail(ErrorCode::kDataLoss, "{}: a Sequence needs '{}' of at most {} steps", key, list, kMaxSteps);
  for (const auto& step : *steps) {
    const auto* object = step.if_object();
    if (object == nullptr) return fail(ErrorCode::kDataLoss, "{}: a step is no object", key);
    out.push_back(object);
  }
  return out;
}

struct AddedToken {
  std::string_view text;
  bool special = false, strip_left = false, strip_right = false;
};

// Texts by id, before they become a Vocabulary.
class Draft {
 public:
  Status put(std::int64_t id, std::string_view text, float score = 0) {
    if (id < 0 || id >= static_cast<std::int64_t>(Vocabulary::kMaxTokens)) return fail(ErrorCode::kDataLoss, "token '{}' has the impossible id {}", text.substr(0, 80), id);
    const auto at = static_cast<std::size_t>(id);
    if (at >= rows_.size()) rows_.resize(at + 1);
    rows_[at].text = text;
    rows_[at].score = score;
    rows_[at].present = true;
    return {};
  }
  void add(std::int64_t id, const AddedToken& token) { rows_[static_cast<std::size_t>(id)].added = token; }

  void into(Vocabulary& vocabulary, bool byte_fallback) const {
    vocabulary.reserve(rows_.size());
    for (const auto& row : rows_) {
      auto type = !row.present ? TokenType::kUnused : !row.added ? TokenType::kNormal : row.added->special ? TokenType::kControl : TokenType::kUserDefined;
      if (byte_fallback && type == TokenType::kNormal && row.text.size() == 6 && row.text.starts_with("<0x")) type = TokenType::kByte;
      const TokenId id = vocabulary.size();
      vocabulary.add(row.text, type, row.score);
      if (row.added && (row.added->strip_left || row.added->strip_right))
        vocabulary.extra_rules.push_back({id, std::string(row.text), row.added->special, row.added->strip_left, row.added->strip_right});
    }
  }

 private:
  struct Row {
    std::string_view text;
    float score = 0;
    bool present = false;
    std::optional<AddedToken> added;
  };
  std::vector<Row> rows_;
};

Status read_vocabulary(const JsonObject& model, Draft& draft) {
  if (const auto* list = array_at(model, "vocab"); list != nullptr) {  // Unigram: [[text, score], ...]
    for (std::size_t i = 0; i < list->size(); ++i) {
      const auto* row = (*list)[i].if_array();
      if (row == nullptr || row->size() != 2 || !(*row)[0].is_string() || !(*row)[1].is_number()) return fail(ErrorCode::kDataLoss, "model.vocab[{}] is no pair of text and score", i);
      STOA_CHECK(draft.put(static_cast<std::int64_t>(i), (*row)[0].get_string(), static_cast<float>((*row)[1].to_number<double>())));
    }
    return {};
  }
  const auto* vocab = object_at(model, "vocab");
  if (vocab == nullptr) return fail(ErrorCode::kDataLoss, "model.vocab is missing");
  for (const auto& [text, id] : *vocab) {
    if (!id.is_int64()) return fail(ErrorCode::kDataLoss, "model.vocab['{}'] is no id", std::string_view(text).substr(0, 80));
    STOA_CHECK(draft.put(id.get_int64(), text));
  }
  return {};
}

Status read_added(const JsonObject& root, Draft& draft) {
  const auto* list = array_at(root, "added_tokens");
  if (list == nullptr) return {};
  for (const auto& value : *list) {
    const auto* token = value.if_object();
    const Json* id = token == nullptr ? nullptr : find(*token, "id");
    if (id == nullptr || !id->is_int64() || text_at(*token, "content").empty()) return fail(ErrorCode::kDataLoss, "added_tokens: an entry has no id or content");
    if (flag_at(*token, "single_word", false)) return unsupported("added_tokens: single_word of", text_at(*token, "content"));
    STOA_CHECK(draft.put(id->get_int64(), text_at(*token, "content")));
    draft.add(id->get_int64(), {text_at(*token, "content"), flag_at(*token, "special", false), flag_at(*token, "lstrip", false), flag_at(*token, "rstrip", false)});
  }
  return {};
}

// Roles by the texts that known families use; tokenizer.json itself does not name them.
void name_special(Vocabulary& vocabulary) {
  const std::pair<TokenId SpecialTokens::*, std::vector<std::string_view>> kTexts[] = {
      {&SpecialTokens::cls, {"[CLS]"}}, {&SpecialTokens::sep, {"[SEP]"}}, {&SpecialTokens::mask, {"[MASK]", "<mask>"}},
      {&SpecialTokens::pad, {"[PAD]", "<pad>", "<|pad|>"}}, {&SpecialTokens::unk, {"[UNK]", "<unk>"}},
      {&SpecialTokens::bos, {"<s>", "<bos>", "<|begin_of_text|>"}}, {&SpecialTokens::eos, {"</s>", "<eos>", "<|im_end|>", "<|end_of_text|>", "<|endoftext|>"}}};
  for (const auto& [member, texts] : kTexts)
    for (const auto text : texts)
      if (vocabulary.special.*member == kNoToken) vocabulary.special.*member = vocabulary.find(text);
}

// The ids of a template's special token `piece`; empty when it has none or one outside of the vocabulary.
std::vector<TokenId> template_ids(const JsonObject& piece, const JsonObject* specials, const Vocabulary& vocabulary) {
  const auto* row = specials == nullptr ? nullptr : object_at(*specials, text_at(piece, "id"));
  const auto* ids = row == nullptr ? nullptr : array_at(*row, "ids");
  std::vector<TokenId> out;
  if (ids == nullptr) return out;
  for (const auto& id : *ids) {
    if (!id.is_int64() || id.get_int64() < 0 || id.get_int64() >= vocabulary.size()) return {};
    out.push_back(static_cast<TokenId>(id.get_int64()));
  }
  return out;
}

// "pair": [CLS] $A [SEP] $B:1 [SEP]:1 and the like. Nothing for any other shape: texts alone do not need it.
std::optional<PairFrame> read_pair(const JsonArray& pieces, const JsonObject* specials, const Vocabulary& vocabulary) {
  PairFrame frame;
  std::vector<TokenId>* const parts[] = {&frame.prefix, &frame.middle, &frame.suffix};
  std::size_t part = 0;
  for (const auto& value : pieces) {
    const auto* piece = value.if_object();
    const auto* sequence = piece == nullptr ? nullptr : object_at(*piece, "Sequence");
    const auto* token = piece == nullptr ? nullptr : object_at(*piece, "SpecialToken");
    const auto* either = sequence != nullptr ? sequence : token;
    const auto type = either == nullptr ? Result<std::optional<std::int64_t>>(std::nullopt) : read_int(*either, "type_id", 0, 1);
    if (either == nullptr || !type) return std::nullopt;
    if (sequence != nullptr) {
      if (part > 1 || text_at(*sequence, "id") != (part == 0 ? "A" : "B")) return std::nullopt;
      if (part++ == 1) frame.second_type = static_cast<int>(type->value_or(0));
    } else {
      const auto ids = template_ids(*token, specials, vocabulary);
      if (ids.empty()) return std::nullopt;
      parts[part]->insert(parts[part]->end(), ids.begin(), ids.end());
    }
    if (type->value_or(0) != (part == 2 ? frame.second_type : 0)) return std::nullopt;
  }
  return part == 2 ? std::optional(std::move(frame)) : std::nullopt;
}

Status read_template(const JsonObject& step, Vocabulary& vocabulary) {
  const auto* single = array_at(step, "single");
  const auto* specials = object_at(step, "special_tokens");
  if (const auto* pair = array_at(step, "pair"); pair != nullptr) vocabulary.pair = read_pair(*pair, specials, vocabulary);
  if (single == nullptr) return fail(ErrorCode::kDataLoss, "post_processor.single is missing");
  bool seen_text = false;
  for (const auto& value : *single) {
    const auto* piece = value.if_object();
    if (piece != nullptr && object_at(*piece, "Sequence") != nullptr) {
      seen_text = true;
      continue;
    }
    const auto* token = piece == nullptr ? nullptr : object_at(*piece, "SpecialToken");
    const auto ids = token == nullptr ? std::vector<TokenId>{} : template_ids(*token, specials, vocabulary);
    if (ids.empty()) return fail(ErrorCode::kDataLoss, "post_processor.single names a token without ids of the vocabulary");
    auto& side = seen_text ? vocabulary.suffix : vocabulary.prefix;
    side.insert(side.end(), ids.begin(), ids.end());
  }
  return {};
}

Status read_frame(const JsonObject& root, Vocabulary& vocabulary) {
  STOA_TRY(steps, steps_of(root, "post_processor", "processors"));
  for (const auto* step : steps) {
    const auto type = text_at(*step, "type");
    if (type == "TemplateProcessing") {
      STOA_CHECK(read_template(*step, vocabulary));
    } else if (type == "BertProcessing" || type == "RobertaProcessing") {
      for (const auto& [key, list] : {std::pair("cls", &vocabulary.prefix), std::pair("sep", &vocabulary.suffix)}) {
        const auto* pair = array_at(*step, key);
        const TokenId id = pair == nullptr || pair->empty() || !(*pair)[0].is_string() ? kNoToken : vocabulary.find((*pair)[0].get_string());
        if (id == kNoToken) return fail(ErrorCode::kDataLoss, "post_processor.{} is no token", key);
        list->push_back(id);
      }
      vocabulary.pair = TokenizerLoader::pair_frame(vocabulary, type == "RobertaProcessing");
    } else if (type != "ByteLevel") {
      return unsupported("post_processor", type);
    }
  }
  return {};
}

Result<std::unique_ptr<TokenModel>> read_bpe(const JsonObject& root, const JsonObject& model, const Vocabulary& vocabulary) {
  for (const auto key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!text_at(model, key).empty()) return unsupported("model", key);
  if (flag_at(model, "byte_fallback", false)) return unsupported("model", "BPE with byte_fallback (use the model's GGUF file)");
  ByteBpeOptions options;
  options.ignore_merges = flag_at(model, "ignore_merges", false);
  if (const auto unknown = text_at(model, "unk_token"); !unknown.empty()) options.missing_byte = vocabulary.find(unknown);

  STOA_TRY(normalizers, steps_of(root, "normalizer", "normalizers"));
  for (const auto* step : normalizers) {
    if (text_at(*step, "type") != "NFC") return unsupported("normalizer", text_at(*step, "type"));
    options.nfc = true;
  }
  STOA_TRY(cutters, steps_of(root, "pre_tokenizer", "pretokenizers"));
  std::optional<PreTokenizer> family;
  bool digits = false, byte_level = false;
  for (const auto* step : cutters) {
    const auto type = text_at(*step, "type");
    if (type == "Split") {
      const auto* pattern = object_at(*step, "pattern");
      const auto regex = pattern == nullptr ? std::string_view() : text_at(*pattern, "Regex");
      const auto found = pre_tokenizer_of_regex(regex);
      if (!found || family) return unsupported("pre_tokenizer Split", regex);
      family = found;
    } else if (type == "Digits" && flag_at(*step, "individual_digits", false)) {
      digits = true;
    } else if (type == "ByteLevel") {
      byte_level = true;
      options.add_prefix_space = flag_at(*step, "add_prefix_space", true);
      if (flag_at(*step, "use_regex", true)) {
        if (family) return unsupported("pre_tokenizer", "Split and ByteLevel with use_regex");
        family = PreTokenizer::kGpt2;
      }
    } else {
      return unsupported("pre_tokenizer", type);
    }
  }
  if (!byte_level) return unsupported("model", "BPE without a ByteLevel pre_tokenizer");
  if (digits && family != PreTokenizer::kGpt2) return unsupported("pre_tokenizer", "Digits without ByteLevel's use_regex");
  options.pre_tokenizer = digits ? PreTokenizer::kSmolLm : family.value_or(PreTokenizer::kNone);

  const auto* merges = array_at(model, "merges");
  if (merges == nullptr) return fail(ErrorCode::kDataLoss, "model.merges is missing");
  std::vector<std::pair<std::string_view, std::string_view>> rules;
  rules.reserve(merges->size());
  for (const auto& rule : *merges) {
    if (const auto* pair = rule.if_array(); pair != nullptr && pair->size() == 2 && (*pair)[0].is_string() && (*pair)[1].is_string()) {
      rules.emplace_back((*pair)[0].get_string(), (*pair)[1].get_string());
      continue;
    }
    const std::string_view text = rule.is_string() ? std::string_view(rule.get_string()) : std::string_view();
    const auto space = text.find(' ');
    if (space == std::string_view::npos) return fail(ErrorCode::kDataLoss, "model.merges[{}] is no pair", rules.size());
    rules.emplace_back(text.substr(0, space), text.substr(space + 1));
  }
  return std::make_unique<ByteBpe>(vocabulary, rules, options);
}

Result<std::unique_ptr<TokenModel>> read_wordpiece(const JsonObject& root, const JsonObject& model, Vocabulary& vocabulary) {
  WordPieceOptions options;
  if (const Json* prefix = find(model, "continuing_subword_prefix"); prefix != nullptr && prefix->is_string()) options.continuation_prefix = text_at(model, "continuing_subword_prefix");
  STOA_TRY(longest, read_int(model, "max_input_chars_per_word", 1, 1'000'000));
  options.max_word_characters = static_cast<std::size_t>(longest.value_or(100));
  vocabulary.special.unk = vocabulary.find(text_at(model, "unk_token"));
  options.rules = {.clean_text = false, .handle_chinese_chars = false, .strip_accents = false, .lowercase = false};
  STOA_TRY(normalizers, steps_of(root, "normalizer", "normalizers"));
  for (const auto* step : normalizers) {
    if (text_at(*step, "type") != "BertNormalizer" || normalizers.size() > 1) return unsupported("normalizer", text_at(*step, "type"));
    const bool lowercase = flag_at(*step, "lowercase", true);
    options.rules = {flag_at(*step, "clean_text", true), flag_at(*step, "handle_chinese_chars", true), flag_at(*step, "strip_accents", lowercase), lowercase};
  }
  STOA_TRY(cutters, steps_of(root, "pre_tokenizer", "pretokenizers"));
  if (cutters.size() != 1 || text_at(*cutters[0], "type") != "BertPreTokenizer") return unsupported("pre_tokenizer", cutters.empty() ? "null" : text_at(*cutters[0], "type"));
  return std::make_unique<WordPiece>(vocabulary, std::move(options));
}

Result<std::unique_ptr<TokenModel>> read_unigram(const JsonObject& root, const JsonObject& model, Vocabulary& vocabulary) {
  SentencePieceOptions options;
  options.add_space_prefix = false;
  STOA_TRY(unknown, read_int(model, "unk_id", 0, vocabulary.size() - 1));
  if (unknown) {
    vocabulary.special.unk = static_cast<TokenId>(*unknown);
    vocabulary.set_type(vocabulary.special.unk, TokenType::kUnknown);
  }
  std::optional<CharsMap> charsmap;
  STOA_TRY(normalizers, steps_of(root, "normalizer", "normalizers"));
  for (const auto* step : normalizers) {
    if (text_at(*step, "type") != "Precompiled" || charsmap) return unsupported("normalizer", text_at(*step, "type"));
    STOA_TRY(blob, infra::from_base64(text_at(*step, "precompiled_charsmap")));
    STOA_TRY(parsed, CharsMap::parse({reinterpret_cast<const char*>(blob.data()), blob.size()}));
    charsmap = std::move(parsed);
  }
  STOA_TRY(cutters, steps_of(root, "pre_tokenizer", "pretokenizers"));
  for (const auto* step : cutters) {
    const auto type = text_at(*step, "type");
    if (type == "WhitespaceSplit") {
      options.remove_extra_whitespaces = true;
    } else if (type == "Metaspace") {
      const auto scheme = text_at(*step, "prepend_scheme");
      options.add_space_prefix = scheme.empty() ? flag_at(*step, "add_prefix_space", true) : scheme != "never";
    } else {
      return unsupported("pre_tokenizer", type);
    }
  }
  return std::make_unique<Unigram>(vocabulary, options, std::move(charsmap));
}

Result<Tokenizer> load(std::string_view json) {
  auto parsed = parse_json(json, {.max_bytes = 256u << 20, .max_depth = 32});
  if (!parsed) return fail(error(ErrorCode::kDataLoss, "{}", parsed.error().message));
  const auto* root = parsed->if_object();
  const auto* model = root == nullptr ? nullptr : object_at(*root, "model");
  if (model == nullptr) return fail(ErrorCode::kDataLoss, "'model' is missing: not a tokenizer.json");
  Draft draft;
  STOA_CHECK(read_vocabulary(*model, draft));
  STOA_CHECK(read_added(*root, draft));
  auto vocabulary = std::make_unique<Vocabulary>();
  draft.into(*vocabulary, flag_at(*model, "byte_fallback", false));
  name_special(*vocabulary);
  STOA_CHECK(read_frame(*root, *vocabulary));

  auto type = text_at(*model, "type");
  if (type.empty()) type = find(*model, "merges") != nullptr ? "BPE" : find(*model, "unk_id") != nullptr ? "Unigram" : "WordPiece";
  auto tokens = [&]() -> Result<std::unique_ptr<TokenModel>> {
    if (type == "BPE") return read_bpe(*root, *model, *vocabulary);
    if (type == "WordPiece") return read_wordpiece(*root, *model, *vocabulary);
    if (type == "Unigram") return read_unigram(*root, *model, *vocabulary);
    return unsupported("model", type);
  }();
  if (!tokens) return std::unexpected(std::move(tokens).error());
  vocabulary->finish();
  return TokenizerLoader::make(std::move(vocabulary), std::move(*tokens));
}

}  // namespace

Result<Tokenizer> Tokenizer::from_json(std::string_view json, std::string_view name) {
  auto tokenizer = load(json);
  if (!tokenizer) return fail(std::move(tokenizer).error().in(name));
  return tokenizer;
}

Result<Tokenizer> Tokenizer::from_json_file(const std::filesystem::path& path) {
  STOA_TRY(file, infra::MappedFile::open(path));
  const auto bytes = file.bytes();
  return from_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
}

}  // namespace stoa::models
