#include "infra/http/sender.h"

namespace stoa::infra {

Result<HttpResponse> HttpSender::send(const HttpClientRequest& request) {
  HttpResponse response;
  HttpStream collect;
  collect.on_head = [&](int status, const HttpHeaders& headers) -> Status {
    response.status = status;
    response.headers = headers;
    return {};
  };
  collect.on_data = [&](std::string_view piece) {
    response.body += piece;
    return true;
  };
  STOA_TRY(status, stream(request, collect));
  response.status = status;
  return response;
}

}  // namespace stoa::infra
