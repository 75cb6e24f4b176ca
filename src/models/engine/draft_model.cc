#include "models/engine/draft_model.h"

#include <algorithm>

namespace stoa::models {

Status check_same_tokens(const Tokenizer& model, const Tokenizer& draft) {
  if (model.size() != draft.size()) {
    return fail(ErrorCode::kInvalidArgument, "the draft model has {} tokens, but the model has {}: they need the same vocabulary", draft.size(), model.size());
  }
  for (TokenId id = 0; id < model.size(); ++id) {
    if (model.token_bytes(id, true) != draft.token_bytes(id, true)) {
      return fail(ErrorCode::kInvalidArgument, "token {} of the draft model is another than the model's: they need the same vocabulary", id);
    }
  }
  return {};
}

void DraftModel::guess(State& state, std::span<const std::int32_t> tokens, int count, std::vector<std::int32_t>& out) {
  if (count <= 0) return;
  // Behind the first wrong guess nothing it has read is true. The last token is read again where need be: its logits are the next guess.
  const auto right = static_cast<std::size_t>(std::ranges::mismatch(state.read, tokens).in1 - state.read.begin());
  state.read.resize(std::min(right, tokens.size() - 1));
  const auto rest = tokens.subspan(state.read.size());
  if (rest.size() > static_cast<std::size_t>(kReadAtOnce)) {
    read(state, rest.first(kReadAtOnce), false);
    return;
  }
  if (!read(state, rest, true)) return;
  for (int i = 0;;) {
    const auto likely = logits_.first(static_cast<std::size_t>(vocabulary_));
    const auto next = static_cast<std::int32_t>(std::ranges::max_element(likely) - likely.begin());
    out.push_back(next);
    if (++i == count || !read(state, {&next, 1}, true)) return;
  }
}

bool DraftModel::read(State& state, std::span<const std::int32_t> tokens, bool wants_logits) {
  const auto position = static_cast<int>(state.read.size()), end = position + static_cast<int>(tokens.size());
  if (end > decoder_.config().context_length) return false;
  const int need = pages_for(end) - static_cast<int>(state.pages.size());
  if (need > 0 && !pool_.allocate(need, state.pages)) return false;
  const Segment segment{.tokens = tokens, .position = position, .pages = state.pages, .logit_rows = wants_logits ? 1 : 0};
  logits_ = decoder_.forward({&segment, 1}, pool_);
  state.read.insert(state.read.end(), tokens.begin(), tokens.end());
  return true;
}

void DraftModel::release(State& state) {
  for (const PageId page : state.pages) pool_.release(page);
  state = {};
  if (pool_.used_pages() == 0) pool_.return_memory();
}

}  // namespace stoa::models
