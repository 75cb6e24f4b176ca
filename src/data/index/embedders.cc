#include "data/index/embedders.h"

#include <map>
#include <mutex>

namespace stoa::data {

struct Embedders::State {
  Embedder* const standard;
  const Load load;
  std::mutex mutex;
  std::map<std::string, std::unique_ptr<Embedder>> loaded;
};

Embedders::Embedders(Embedder* standard, Load load) : state_(std::make_shared<State>(standard, std::move(load))) {}

Embedder* Embedders::standard() const { return state_->standard; }

Result<Embedder*> Embedders::find(const std::string& name) const {
  if (name.empty() || (state_->standard != nullptr && state_->standard->model() == name)) return state_->standard;
  std::lock_guard lock(state_->mutex);
  if (const auto found = state_->loaded.find(name); found != state_->loaded.end()) return found->second.get();
  if (!state_->load) return fail(ErrorCode::kNotFound, "there is no embedding model '{}' on this machine", name);
  if (state_->loaded.size() >= kMost)
    return fail(error(ErrorCode::kResourceExhausted, "'{}' is not loaded: {} other embedding models are, which is all that are at a time", name, kMost)
                    .with_hint("make collections anew with fewer models, and start the server again"));
  STOA_TRY(embedder, state_->load(name));
  return state_->loaded.emplace(name, std::move(embedder)).first->second.get();
}

}  // namespace stoa::data
