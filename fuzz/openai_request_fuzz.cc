// Request bodies of the OpenAI dialect: the first byte chooses the family, the rest is the body. Whatever the bytes are, a parser
// returns a request or an error that can be put on the wire.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "gateway/api/openai/chat_json.h"
#include "gateway/api/openai/completions_json.h"
#include "gateway/api/openai/embeddings_json.h"
#include "gateway/api/openai/rerank_json.h"
#include "gateway/api/openai/errors.h"
#include "gateway/api/openai/responses_json.h"
#include "gateway/api/openai/vector_stores_json.h"

namespace {

using namespace stoa::gateway;
using namespace stoa::gateway::openai;

template <class Parsed>
void check(const stoa::Result<Parsed>& parsed) {
  if (parsed) return;
  const WireError wire = to_wire(parsed.error());
  if (wire.status < 400 || stoa::dump_json(wire.body).empty()) std::abort();
}

void echo(const stoa::Result<ResponseCall>& parsed) {
  check(parsed);
  if (!parsed) return;
  // What is stored of any accepted request reads back as history.
  const auto turn = stored_turn(input_items_json(parsed->request.messages), response_json(*parsed, {}));
  if (!turn || turn->size() != parsed->request.messages.size()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto body = parse_body({reinterpret_cast<const char*>(data) + 1, size - 1});
  if (!body) {
    check(body);
    return 0;
  }
  switch (static_cast<std::uint8_t>(data[0] - '0') % 9) {
    case 0: check(parse_chat(*body)); break;
    case 1: check(parse_completion(*body)); break;
    case 2: check(parse_embeddings(*body)); break;
    case 3: echo(parse_response_call(*body)); break;
    case 4: check(parse_new_store(*body)); break;
    case 5: check(parse_attach(*body)); break;
    case 6: check(parse_file_batch(*body)); break;
    case 7: check(parse_search(*body)); break;
    default: check(parse_rerank(*body)); break;
  }
  return 0;
}
