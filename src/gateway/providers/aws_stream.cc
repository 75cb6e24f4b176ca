#include "gateway/providers/aws_stream.h"

namespace stoa::gateway {

AwsStreamDecoder::AwsStreamDecoder()
    : parser_([this](infra::EventMessage&& next) {
        if (!answer_->complete) status_ = message(next, *answer_);
        return status_.has_value() && !answer_->stopped;
      }, EventDecoder::kMaxEvent) {}

Status AwsStreamDecoder::feed(std::string_view bytes, UpstreamAnswer& answer) {
  answer_ = &answer;
  if (const Status fed = parser_.feed(bytes); !fed) return fail(ErrorCode::kUnavailable, "{}", fed.error().message);
  return status_;
}

Status AwsStreamDecoder::message(const infra::EventMessage& message, UpstreamAnswer& answer) {
  const std::string_view type = message.header(":message-type");
  if (type == "event") return event(message.header(":event-type"), message.payload, answer);
  if (type != "exception" && type != "error") return fail(ErrorCode::kUnavailable, "its stream holds a message of the kind '{}', which is none that is known", type.substr(0, 64));
  UpstreamProblem problem;
  if (const auto json = parse_json(message.payload); json && json->is_object()) problem = read_problem(json->get_object());
  if (type == "error") {
    const JsonObject said{{"code", message.header(":error-code")}, {"message", message.header(":error-message")}};
    problem = read_problem(said);
  } else {
    problem.kind = message.header(":exception-type").substr(0, 64);
  }
  return fail(stream_error(problem));
}

}  // namespace stoa::gateway
