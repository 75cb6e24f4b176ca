#include "gateway/providers/sagemaker_codec.h"

#include "gateway/providers/aws_stream.h"
#include "gateway/providers/openai_codec.h"
#include "infra/http/url.h"

namespace stoa::gateway {
namespace {

using infra::HttpClientRequest;

// Containers stream events, or a JSON object a line, which has no end marker of its own.
class SageMakerDecoder final : public AwsStreamDecoder {
 public:
  Status end(UpstreamAnswer& answer) override {
    if (!lines_) return {};
    if (!rest_.empty()) STOA_CHECK(line(std::exchange(rest_, {}), answer));
    return answer.finish ? inner_->feed("data: [DONE]\n\n", answer) : Status();
  }

 protected:
  Status event(std::string_view name, std::string_view payload, UpstreamAnswer& answer) override {
    if (name != "PayloadPart" || payload.empty()) return {};
    if (!begun_) {
      const auto first = payload.find_first_not_of(" \r\n\t");
      if (first == std::string_view::npos) return {};
      begun_ = true;
      lines_ = payload[first] == '{';
    }
    if (!lines_) return inner_->feed(payload, answer);
    for (;;) {
      const auto end = payload.find('\n');
      rest_ += payload.substr(0, end);
      if (rest_.size() > EventDecoder::kMaxEvent) return fail(ErrorCode::kUnavailable, "a line of its stream has more than {} bytes", EventDecoder::kMaxEvent);
      if (end == std::string_view::npos) return {};
      payload.remove_prefix(end + 1);
      STOA_CHECK(line(std::exchange(rest_, {}), answer));
      if (answer.stopped) return {};
    }
  }

 private:
  Status line(std::string_view text, UpstreamAnswer& answer) {
    if (text.find_first_not_of(" \r\t") == std::string_view::npos) return {};
    STOA_CHECK(inner_->feed("data: ", answer));
    STOA_CHECK(inner_->feed(text, answer));
    return inner_->feed("\n\n", answer);
  }

  const std::unique_ptr<AnswerDecoder> inner_ = make_openai_decoder();
  bool begun_ = false, lines_ = false;
  std::string rest_;  // an unfinished line
};

class SageMakerCodec final : public ProviderCodec {
 public:
  Result<HttpClientRequest> encode(const ProviderTarget& target, const std::string&, const ChatRequest& request) const override {
    STOA_TRY(body, openai_body(target, request));
    const auto name = target.options.find("model");
    if (name == target.options.end())
      body.erase("model");  // it would be the endpoint's name, which no container knows
    else
      body["model"] = name->second;
    HttpClientRequest out{.method = "POST", .url = fmt::format("{}/endpoints/{}/invocations-response-stream", base_url(target), infra::percent_encode(target.model)), .body = dump_json(body)};
    out.headers = {{"Content-Type", "application/json"}, {"Accept", "application/vnd.amazon.eventstream"}};
    return out;
  }
  std::unique_ptr<AnswerDecoder> decoder(const ChatRequest&) const override { return std::make_unique<SageMakerDecoder>(); }
  std::optional<HttpClientRequest> model_list(const ProviderTarget&, const std::string&) const override { return std::nullopt; }  // another service has it, by another protocol
};

}  // namespace

std::unique_ptr<ProviderCodec> make_sagemaker_codec() { return std::make_unique<SageMakerCodec>(); }

}  // namespace stoa::gateway
