#include "wire/wire.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/rng.h"

namespace brindle::wire {

namespace {

constexpr int patience_ms = 10'000;

bool readable(int fd) {
  pollfd wanted{fd, POLLIN, 0};
  return poll(&wanted, 1, patience_ms) == 1;
}

}  // namespace

Folder::Folder() {
  char name[] = "/tmp/brindle-wire-XXXXXX";
  path_ = mkdtemp(name);
}

Folder::~Folder() { std::filesystem::remove_all(path_); }

std::string executable() { return WIRE_SERVE; }

Server::Server(const std::string& socket, std::vector<std::string> arguments) {
  int ends[2];
  EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
  std::vector<std::string> words{executable(), "--pool-size", "512M", "--socket", socket};
  words.insert(words.end(), arguments.begin(), arguments.end());
  pid_ = fork();
  if (pid_ == 0) {
    dup2(ends[1], STDOUT_FILENO);
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    execv(pointers[0], pointers.data());
    _exit(127);
  }
  ::close(ends[1]);
  from_ = ends[0];
  char byte = 0;
  while (readable(from_) && ::read(from_, &byte, 1) == 1 && byte != '\n') ready_ += byte;
  if (ready_.rfind("ready", 0) != 0) {
    ready_.clear();
    wait();
  }
}

Server::~Server() {
  if (pid_ > 0) {
    EXPECT_EQ(stop(), 0);
  }
  if (from_ >= 0) ::close(from_);
}

int Server::wait() {
  char bytes[256];
  for (ssize_t got = 1; got > 0;) {
    got = ::read(from_, bytes, sizeof bytes);
    if (got > 0) output_.append(bytes, static_cast<size_t>(got));
  }
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int Server::stop() {
  ::kill(pid_, SIGTERM);
  return wait();
}

void Server::kill() {
  ::kill(pid_, SIGKILL);
  static_cast<void>(wait());
}

u64 Server::resident_bytes() const {
  std::ifstream file("/proc/" + std::to_string(pid_) + "/statm");
  u64 size = 0;
  u64 resident = 0;
  file >> size >> resident;
  return resident * static_cast<u64>(sysconf(_SC_PAGESIZE));
}

u64 Server::processor_ns() const {
  std::ifstream file("/proc/" + std::to_string(pid_) + "/stat");
  std::string word;
  u64 ticks = 0;
  for (int i = 1; i <= 15 && file >> word; ++i) {
    if (i == 14 || i == 15) ticks += std::stoull(word);
  }
  return ticks * 1'000'000'000 / static_cast<u64>(sysconf(_SC_CLK_TCK));
}

// --- the client -----------------------------------------------------------------------------------------------------

Client::Client(const std::string& socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket.data(), std::min(socket.size(), sizeof address.sun_path - 1));
  fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0) << socket;
}

Client::~Client() { close(); }

void Client::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void Client::send(Bytes bytes) {
  while (!bytes.empty()) {
    pollfd wanted{fd_, POLLOUT, 0};
    if (poll(&wanted, 1, patience_ms) != 1) {
      ADD_FAILURE() << "the server does not read";
      return;
    }
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent <= 0) return;  // it has hung up, which the test will see when it reads
    bytes = bytes.subspan(static_cast<size_t>(sent));
  }
}

std::string Client::receive(size_t size) {
  std::string bytes(size, '\0');
  size_t at = 0;
  while (at < size) {
    if (!readable(fd_)) {
      ADD_FAILURE() << "the server says nothing";
      break;
    }
    const ssize_t got = ::recv(fd_, bytes.data() + at, size - at, 0);
    if (got <= 0) break;
    at += static_cast<size_t>(got);
  }
  bytes.resize(at);
  return bytes;
}

bool Client::hung_up() {
  std::vector<char> bytes(1 << 16);
  while (readable(fd_)) {
    if (::recv(fd_, bytes.data(), bytes.size(), 0) <= 0) return true;
  }
  return false;
}

void Client::greet(u32 flags) {
  EXPECT_EQ(receive(18).size(), 18u);
  Message message;
  send(message.put(flags));
}

void Client::raw_option(u32 option, Bytes data) {
  Message message;
  message.put(option_magic).put(option).put(static_cast<u32>(data.size()));
  send(message);
  send(data);
}

Client::OptionAnswer Client::option_answer() {
  const std::string head = receive(20);
  if (head.size() != 20) {
    ADD_FAILURE() << "no answer to the option";
    return {};
  }
  const auto* bytes = reinterpret_cast<const std::byte*>(head.data());
  EXPECT_EQ(nbd::get<u64>(bytes), option_reply_magic);
  const u32 size = nbd::get<u32>(bytes + 16);
  return {nbd::get<u32>(bytes + 8), static_cast<OptionReply>(nbd::get<u32>(bytes + 12)), receive(size)};
}

std::vector<Client::OptionAnswer> Client::option_answers() {
  std::vector<OptionAnswer> answers;
  do {
    answers.push_back(option_answer());
    const OptionReply type = answers.back().type;
    if (type == OptionReply::ack || static_cast<u32>(type) >= 0x80000000 || type == OptionReply{}) break;
  } while (true);
  return answers;
}

Message Client::info_data(const std::string& name, std::vector<u16> wanted) {
  Message message;
  message.put(static_cast<u32>(name.size())).put_text(name).put(static_cast<u16>(wanted.size()));
  for (const u16 what : wanted) message.put(what);
  return message;
}

Message Client::meta_data(const std::string& name, std::vector<std::string> queries) {
  Message message;
  message.put(static_cast<u32>(name.size())).put_text(name).put(static_cast<u32>(queries.size()));
  for (const std::string& query : queries) message.put(static_cast<u32>(query.size())).put_text(query);
  return message;
}

void Client::open(const std::string& name, bool structured) {
  greet();
  if (structured) {
    option(Option::structured_reply);
    EXPECT_EQ(option_answer().type, OptionReply::ack);
    option(Option::set_meta_context, meta_data(name, {"base:allocation"}).bytes());
    EXPECT_EQ(option_answers().back().type, OptionReply::ack);
  }
  option(Option::go, info_data(name).bytes());
  EXPECT_EQ(option_answers().back().type, OptionReply::ack);
}

Message Client::request(Command command, u64 cookie, u64 offset, u32 length, u16 flags) {
  Message message;
  message.put(request_magic).put(flags).put(static_cast<u16>(command)).put(cookie).put(offset).put(length);
  return message;
}

void Client::write(u64 cookie, u64 offset, const std::string& bytes, u16 flags) {
  Message message = request(Command::write, cookie, offset, static_cast<u32>(bytes.size()), flags);
  send(message.put_text(bytes));
}

Reply Client::reply(u64 read_length) {
  Reply reply;
  const std::string magic = receive(4);
  if (magic.size() != 4) {
    reply.none = true;
    return reply;
  }
  reply.structured = nbd::get<u32>(reinterpret_cast<const std::byte*>(magic.data())) == chunk_magic;
  if (!reply.structured) {
    const std::string rest = receive(12);
    const auto* bytes = reinterpret_cast<const std::byte*>(rest.data());
    reply.error = nbd::get<u32>(bytes);
    reply.cookie = nbd::get<u64>(bytes + 4);
    if (reply.error == 0) reply.data = receive(read_length);
    return reply;
  }
  const std::string rest = receive(16);
  const auto* bytes = reinterpret_cast<const std::byte*>(rest.data());
  reply.flags = nbd::get<u16>(bytes);
  reply.type = nbd::get<u16>(bytes + 2);
  reply.cookie = nbd::get<u64>(bytes + 4);
  reply.data = receive(nbd::get<u32>(bytes + 12));
  if (reply.type == chunk_error) reply.error = nbd::get<u32>(reinterpret_cast<const std::byte*>(reply.data.data()));
  return reply;
}

void Client::put(u64 offset, const std::string& bytes) {
  write(1, offset, bytes);
  const Reply answer = reply();
  EXPECT_FALSE(answer.none);
  EXPECT_EQ(answer.error, 0u);
}

std::string Client::get(u64 offset, u32 length) {
  ask(Command::read, 2, offset, length);
  const Reply answer = reply(length);
  EXPECT_EQ(answer.error, 0u);
  return answer.data;
}

std::string pattern(u64 seed, size_t size) {
  Rng rng(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(rng.below(255) + 1);
  return bytes;
}

namespace {
std::vector<std::string> with_volumes(std::vector<std::string> more) {
  more.insert(more.end(), {"db=64M", "db@monday", "other=1M"});
  return more;
}
}  // namespace

WireTest::WireTest(std::vector<std::string> more)
    : socket(folder / "nbd.sock"), server(socket, with_volumes(std::move(more))) {
  EXPECT_TRUE(server.runs());
}

}  // namespace brindle::wire
