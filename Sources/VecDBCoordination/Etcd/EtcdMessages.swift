import FoundationEssentials

/// A message of etcd's JSON gateway. proto3 leaves out what is false, zero or empty, and writes 64-bit
/// numbers as text.
package enum EtcdMessage {
  /// Bytes, which the gateway has in base64.
  package struct Bytes: Codable, Sendable, Equatable {
    var text: String

    init(_ text: String) { self.text = text }

    package init(from decoder: any Decoder) throws {
      let encoded = try decoder.singleValueContainer().decode(String.self)
      guard let data = Data(base64Encoded: encoded),
        let text = String(validating: data, as: UTF8.self)
      else {
        throw DecodingError.dataCorrupted(
          .init(codingPath: decoder.codingPath, debugDescription: "this is no base64 of UTF-8"))
      }
      self.text = text
    }

    package func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      try container.encode(Data(text.utf8).base64EncodedString())
    }
  }

  struct Put: Encodable {
    var key: Bytes
    var value: Bytes
    var lease: String?
  }

  struct Range: Encodable {
    var key: Bytes
    var end: Bytes?

    private enum CodingKeys: String, CodingKey {
      case key
      case end = "range_end"
    }
  }

  struct Compare: Encodable {
    var key: Bytes
    var target: String
    var result = "EQUAL"
    var version: String?
    var lease: String?
  }

  struct Operation: Encodable {
    var requestPut: Put?
    var requestDeleteRange: Range?
  }

  struct Transaction: Encodable {
    var compare: [Compare]
    var success: [Operation]
  }

  struct Grant: Encodable {
    var seconds: String

    private enum CodingKeys: String, CodingKey { case seconds = "TTL" }
  }

  struct Lease: Encodable {
    var id: String

    private enum CodingKeys: String, CodingKey { case id = "ID" }
  }

  struct Authentication: Encodable {
    var name: String
    var password: String
  }

  // MARK: Answers

  package struct Pair: Decodable {
    var key: Bytes?
    var value: Bytes?
    var lease: String?
  }

  struct RangeAnswer: Decodable {
    var kvs: [Pair]?
  }

  /// A lost transaction has no key `succeeded`.
  struct TransactionAnswer: Decodable {
    var header: Header
    var succeeded: Bool?
  }

  struct Header: Decodable {
    var revision: String?
  }

  struct LeaseAnswer: Decodable {
    var id: String?
    var seconds: String?

    private enum CodingKeys: String, CodingKey {
      case id = "ID"
      case seconds = "TTL"
    }
  }

  struct PutAnswer: Decodable {
    var header: Header
  }

  struct Streamed: Decodable {
    var result: LeaseAnswer?
  }

  struct TokenAnswer: Decodable {
    var token: String?
  }

  /// `{"error":"…","code":14}`, or `{"error":{"grpc_code":14,"message":"…"}}`.
  struct Failure: Decodable, Sendable, Equatable {
    static let unauthenticated = 16

    var code: Int?
    var message: String

    private enum CodingKeys: String, CodingKey {
      case error, code, message
      case innerCode = "grpc_code"
    }

    init(from decoder: any Decoder) throws {
      let outer = try decoder.container(keyedBy: CodingKeys.self)
      if let text = Self.text(outer) {
        message = text
        code = try outer.decodeIfPresent(Int.self, forKey: .code)
      } else {
        let inner = try outer.nestedContainer(keyedBy: CodingKeys.self, forKey: .error)
        message = try inner.decodeIfPresent(String.self, forKey: .message) ?? "no reason"
        code = try inner.decodeIfPresent(Int.self, forKey: .innerCode)
      }
    }

    private static func text(_ outer: KeyedDecodingContainer<CodingKeys>) -> String? {
      do { return try outer.decode(String.self, forKey: .error) } catch { return nil }
    }

    /// The lease is not there: what was asked was not done.
    var isLeaseMissing: Bool { message.contains("requested lease not found") }
    var isTokenOver: Bool { message.contains("invalid auth token") }
  }
}
