// Answers in event streams of AWS: what Bedrock and SageMaker have in common.
#pragma once

#include "gateway/providers/codec.h"
#include "infra/aws/event_stream.h"

namespace stoa::gateway {

class AwsStreamDecoder : public AnswerDecoder {
 public:
  AwsStreamDecoder();
  Status feed(std::string_view bytes, UpstreamAnswer& answer) final;

 protected:
  // `name` is that of the event; exceptions and errors do not come here.
  virtual Status event(std::string_view name, std::string_view payload, UpstreamAnswer& answer) = 0;

 private:
  Status message(const infra::EventMessage& message, UpstreamAnswer& answer);

  infra::EventStreamParser parser_;
  UpstreamAnswer* answer_ = nullptr;
  Status status_;
};

}  // namespace stoa::gateway
