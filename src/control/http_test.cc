#include "control/http.h"

#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "control/listen.h"
#include "control/problem.h"
#include "control/query.h"

namespace brindle::control {

TEST(Http, a_target_is_cut_and_decoded) {
  Request request;
  ASSERT_TRUE(parse_target("/v1/volumes/d%62?label=a%3Db&label=x+y&flag#part", request).ok());
  EXPECT_EQ(request.path, (std::vector<std::string>{"v1", "volumes", "db"}));
  const std::vector<std::pair<std::string, std::string>> query{{"label", "a=b"}, {"label", "x y"}, {"flag", ""}};
  EXPECT_EQ(request.query, query);
  ASSERT_TRUE(parse_target("/a%2Fb/", request).ok());
  EXPECT_EQ(request.path, (std::vector<std::string>{"a/b", ""}));
  EXPECT_TRUE(request.query.empty());
}

TEST(Http, a_malformed_target_is_refused) {
  Request request;
  for (const char* target : {"", "v1", "*", "http://host/", "/%", "/%2", "/%zz", "/a?b=%f", "/a?%g1=b"}) {
    EXPECT_EQ(parse_target(target, request).code(), Code::invalid) << target;
  }
}

TEST(Http, requests_that_came_together_are_answered_one_after_the_other) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  Connection connection(ends[0]);
  const std::string both = "GET /a HTTP/1.1\r\nHost: h\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nxyz";
  ASSERT_EQ(write(ends[1], both.data(), both.size()), static_cast<ssize_t>(both.size()));
  Request request;
  Answer answer;
  ASSERT_EQ(connection.read(request, answer, [] {}), Connection::Got::request);
  EXPECT_EQ(request.path, std::vector<std::string>{"a"});
  answer.body = "1";
  EXPECT_TRUE(connection.write(answer, false));
  ASSERT_EQ(connection.read(request, answer, [] {}), Connection::Got::request);
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.body, "xyz");
  answer.body = "2";
  EXPECT_FALSE(connection.write(answer, true));
  std::string got(4096, '\0');
  got.resize(static_cast<size_t>(recv(ends[1], got.data(), got.size(), 0)));
  EXPECT_NE(got.find("\r\n\r\n1HTTP/1.1 200 OK"), std::string::npos) << got;
  EXPECT_NE(got.find("Connection: close"), std::string::npos);
  EXPECT_EQ(got.substr(got.size() - 5), "\r\n\r\n2");
  close(ends[1]);
}

TEST(Http, an_answer_in_pieces_is_sent_in_chunks) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  Connection connection(ends[0]);
  const std::string get = "GET /a HTTP/1.1\r\n\r\n";
  ASSERT_GT(write(ends[1], get.data(), get.size()), 0);
  Request request;
  Answer answer;
  ASSERT_EQ(connection.read(request, answer, [] {}), Connection::Got::request);
  answer.body = "first";
  answer.more = [left = 2]() mutable { return left-- > 0 ? std::string(16, 'x') : std::string(); };
  EXPECT_TRUE(connection.write(answer, false));
  std::string got(4096, '\0');
  got.resize(static_cast<size_t>(recv(ends[1], got.data(), got.size(), 0)));
  const std::string x(16, 'x');
  EXPECT_EQ(got.substr(got.find("\r\n\r\n") + 4), "5\r\nfirst\r\n10\r\n" + x + "\r\n10\r\n" + x + "\r\n0\r\n\r\n");
  close(ends[1]);
}

TEST(Http, garbage_is_answered_with_a_problem_and_the_end) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  Connection connection(ends[0]);
  ASSERT_GT(write(ends[1], "\x01\x02\r\n\r\n", 6), 0);
  Request request;
  Answer answer;
  EXPECT_EQ(connection.read(request, answer, [] {}), Connection::Got::refused);
  EXPECT_EQ(answer.status, 400u);
  EXPECT_TRUE(answer.problem);
  close(ends[1]);
}

TEST(Problem, every_code_has_a_status_and_a_name) {
  EXPECT_EQ(http_status(Code::invalid), 400u);
  EXPECT_EQ(http_status(Code::not_found), 404u);
  for (Code code : {Code::exists, Code::busy, Code::is_protected, Code::read_only}) EXPECT_EQ(http_status(code), 409u);
  EXPECT_EQ(http_status(Code::no_space), 507u);
  for (Code code : {Code::io, Code::corrupt}) EXPECT_EQ(http_status(code), 500u);
  EXPECT_EQ(http_status(Code::unsupported), 501u);
  for (Code code : {Code::stopping, Code::cancelled}) EXPECT_EQ(http_status(code), 503u);
  EXPECT_EQ(problem({Code::is_protected, "db@s \"is\""}).body,
            R"({"type":"about:blank","title":"A protected snapshot","status":409,"detail":"db@s \"is\"","code":"protected"})");
}

TEST(Query, what_nobody_asked_for_is_refused) {
  const Query::Pairs pairs{{"limit", "10"}, {"limt", "1"}};
  Query query(pairs);
  EXPECT_EQ(query.number("limit", 5), 10u);
  EXPECT_EQ(query.number("offset", 5), 5u);
  EXPECT_EQ(query.finish().code(), Code::invalid);
}

TEST(Query, malformed_values_are_refused) {
  for (const auto& [name, value] : Query::Pairs{{"n", "-1"}, {"n", "1K"}, {"n", "99999999999999999999"}, {"f", "yes"},
                                                {"sort", "colour"}, {"label", "novalue"}, {"label", "=v"}}) {
    const Query::Pairs pairs{{name, value}};
    Query query(pairs);
    query.number("n", 0);
    query.flag("f");
    query.sort();
    query.labels();
    EXPECT_EQ(query.finish().code(), Code::invalid) << name << "=" << value;
  }
}

TEST(Listen, addresses_are_cut_at_the_last_colon) {
  auto plain = parse_host_port("127.0.0.1:80");
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->host, "127.0.0.1");
  EXPECT_EQ(plain->port, "80");
  EXPECT_EQ(parse_host_port("[::1]:8080")->host, "::1");
  EXPECT_EQ(parse_host_port(":8080")->host, "127.0.0.1");
  for (const char* wrong : {"", "80", "host", "host:", "host:x", "host:65536", "::1:80", "[]:80", "[::1:80", "host:-1", "host:123456"}) {
    EXPECT_FALSE(parse_host_port(wrong).ok()) << wrong;
  }
}

TEST(Listen, a_path_longer_than_a_socket_may_have_is_refused) {
  EXPECT_TRUE(check_socket_path(std::string(107, 'x')).ok());
  EXPECT_EQ(check_socket_path(std::string(108, 'x')).code(), Code::invalid);
}

}  // namespace brindle::control
