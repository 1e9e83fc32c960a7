import Foundation
import Glibc
import VecDB
import VecDBReplication

/// A plain HTTP/1.1 GET, as much of it as the status page needs.
enum HTTPQuestion {
  static func get(
    _ address: NodeAddress, path: String, token: String? = nil
  ) async throws -> String {
    let authorization = token.map { "Authorization: Bearer \($0)\r\n" } ?? ""
    let answer = try exchange(
      address,
      "GET \(path) HTTP/1.1\r\nHost: \(address)\r\nConnection: close\r\nAccept: */*\r\n"
        + "\(authorization)\r\n")
    guard let end = answer.range(of: "\r\n\r\n") else {
      throw VecDBError(.inputOutput, "the answer is not HTTP", at: "\(address)")
    }
    let status = answer.split(separator: " ", maxSplits: 2).dropFirst().first.map(String.init)
    guard status != "401" else {
      throw VecDBError(
        .invalidArgument, "the status page asks for a token", at: "\(address)",
        remedy: "Give the node's token file with --http-token.")
    }
    guard status == "200" else {
      throw VecDBError(
        .inputOutput, "the status page answers \(status ?? "nothing")", at: "\(address)")
    }
    return String(answer[end.upperBound...])
  }

  private static func exchange(_ address: NodeAddress, _ request: String) throws -> String {
    func failure(_ what: String) -> VecDBError {
      VecDBError(
        .inputOutput, "\(what): \(errorText(errno))", at: "\(address)",
        remedy: "Check the address, and that the node runs.")
    }
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var found: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(address.host, "\(address.port)", &hints, &found) == 0, found != nil
    else { throw failure("the host is not known") }
    defer { freeaddrinfo(found) }
    guard let descriptor = connected(to: found) else { throw failure("nobody answers") }
    defer { _ = close(descriptor) }
    let bytes = Array(request.utf8)
    guard send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
      throw failure("the question cannot be sent")
    }
    var answer: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while answer.count < 16 << 20 {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      if count == 0 { break }
      guard count > 0 else { throw failure("no answer") }
      answer += buffer[..<count]
    }
    return String(decoding: answer, as: UTF8.self)
  }

  /// A connection to the first of a name's addresses that answers; nil, and `errno` of the last one,
  /// if none does.
  private static func connected(to addresses: UnsafeMutablePointer<addrinfo>?) -> Int32? {
    var next = addresses
    while let address = next {
      next = address.pointee.ai_next
      let descriptor = socket(
        address.pointee.ai_family, address.pointee.ai_socktype, address.pointee.ai_protocol)
      guard descriptor >= 0 else { continue }
      var limit = timeval(tv_sec: 10, tv_usec: 0)
      for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
        setsockopt(
          descriptor, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
      }
      if connect(descriptor, address.pointee.ai_addr, address.pointee.ai_addrlen) == 0 {
        return descriptor
      }
      let reason = errno
      _ = close(descriptor)
      errno = reason
    }
    return nil
  }
}
