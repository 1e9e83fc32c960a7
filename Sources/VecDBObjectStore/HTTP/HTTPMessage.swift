/// A request as it is sent.
package struct HTTPRequest: Sendable {
  package var method: String
  package var endpoint: HTTPEndpoint
  /// Encoded, from `/` on.
  package var path: String
  /// Not encoded; in any order.
  package var query: [(name: String, value: String)] = []
  package var headers: [(name: String, value: String)] = []
  package var body: [UInt8] = []
  /// The longest body that is taken as an answer.
  package var maximumBytes = 1 << 20
  /// When the answer must be there at the latest, from now.
  package var timeoutMilliseconds = 60_000

  package init(
    method: String, endpoint: HTTPEndpoint, path: String,
    query: [(name: String, value: String)] = [], headers: [(name: String, value: String)] = [],
    body: [UInt8] = [], maximumBytes: Int = 1 << 20, timeoutMilliseconds: Int = 60_000
  ) {
    self.method = method
    self.endpoint = endpoint
    self.path = path
    self.query = query
    self.headers = headers
    self.body = body
    self.maximumBytes = maximumBytes
    self.timeoutMilliseconds = timeoutMilliseconds
  }

  package var url: String {
    endpoint.url + path + (query.isEmpty ? "" : "?" + URLEncoding.query(query))
  }
}

package struct HTTPResponse: Sendable {
  package var status: Int
  package var headers: [(name: String, value: String)]
  package var body: [UInt8]

  package init(status: Int, headers: [(name: String, value: String)] = [], body: [UInt8] = []) {
    self.status = status
    self.headers = headers
    self.body = body
  }

  /// The value of a header, whatever the case of its name.
  package func header(_ name: String) -> String? {
    headers.first { $0.name.lowercased() == name }?.value
  }
}

/// Where requests go.
package struct HTTPEndpoint: Sendable, Hashable {
  package var isSecure: Bool
  package var host: String
  /// Nil for that of the scheme.
  package var port: Int?

  package init(isSecure: Bool, host: String, port: Int? = nil) {
    self.isSecure = isSecure
    self.host = host
    self.port = port
  }

  /// `http://host:port` or `https://host`; nil for anything else.
  package init?(_ text: String) {
    let rest: Substring
    if text.hasPrefix("https://") {
      isSecure = true
      rest = text.dropFirst(8)
    } else if text.hasPrefix("http://") {
      isSecure = false
      rest = text.dropFirst(7)
    } else {
      return nil
    }
    let place = rest.hasSuffix("/") ? rest.dropLast() : rest
    let isBracketed = place.hasPrefix("[")
    let colon = place.lastIndex(of: ":").flatMap { index in
      isBracketed && place[index...].contains("]") ? nil : index
    }
    let name = colon.map { place[..<$0] } ?? place
    guard !name.isEmpty, name.utf8.allSatisfy(Self.isHostByte) else { return nil }
    host = String(name)
    guard let colon else { return }
    guard let number = Int(place[place.index(after: colon)...]), (1...65_535).contains(number)
    else { return nil }
    port = number
  }

  private static func isHostByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"),
      UInt8(ascii: "_"), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: ":"):
      true
    default: false
    }
  }

  /// As the header `host` has it.
  package var authority: String { host + (port.map { ":\($0)" } ?? "") }
  package var url: String { (isSecure ? "https://" : "http://") + authority }
}

/// Percent-encoding as RFC 3986 and SigV4 want it: all but letters, digits and `-._~`.
package enum URLEncoding {
  private static let digits = Array("0123456789ABCDEF".utf8)

  package static func encode(_ text: String, keeping kept: Set<UInt8> = []) -> String {
    var bytes: [UInt8] = []
    for byte in text.utf8 {
      if isUnreserved(byte) || kept.contains(byte) {
        bytes.append(byte)
      } else {
        bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// A path whose parts are encoded and whose slashes stay.
  package static func path(_ text: String) -> String { encode(text, keeping: [UInt8(ascii: "/")]) }

  /// Sorted as SigV4 wants it.
  package static func query(_ items: [(name: String, value: String)]) -> String {
    items.map { (encode($0.name), encode($0.value)) }.sorted { $0 < $1 }
      .map { $0.0 + "=" + $0.1 }.joined(separator: "&")
  }

  /// Nil for what is not percent-encoded UTF-8.
  package static func decode(_ text: some StringProtocol) -> String? {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      guard let high = rest.popFirst().flatMap(value), let low = rest.popFirst().flatMap(value)
      else { return nil }
      bytes.append(high << 4 | low)
    }
    return String(validating: bytes, as: UTF8.self)
  }

  private static func value(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
    default: nil
    }
  }

  private static func isUnreserved(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
      UInt8(ascii: "_"), UInt8(ascii: "~"):
      true
    default: false
    }
  }
}
