import VecDB

/// Where the coordinator of clusters is reached, and as whom: an etcd of version 3.4 or later.
///
/// ```swift
/// let coordinator = try Coordinator("etcd://10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379")
/// ```
public struct Coordinator: Sendable, Hashable {
  /// A user of etcd.
  public struct User: Sendable, Hashable {
    public var name: String
    public var password: String

    public init(name: String, password: String) {
      self.name = name
      self.password = password
    }
  }

  /// Files of a client's certificate in PEM. A certificate and its key go together.
  public struct Certificates: Sendable, Hashable {
    /// Who has signed the servers' certificates; nil: one of the system's authorities.
    public var authority: String?
    public var certificate: String?
    public var key: String?

    public init(authority: String? = nil, certificate: String? = nil, key: String? = nil) {
      self.authority = authority
      self.certificate = certificate
      self.key = key
    }
  }

  /// Hosts and ports, in the order in which they are tried.
  public let endpoints: [String]
  /// Whether the connections use TLS.
  public let isSecure: Bool
  public var user: User?
  public var certificates = Certificates()

  /// - Parameter address: `etcd://host:port,host:port,…`, or `etcds://…` for TLS. The port of one
  ///   without is 2379.
  /// - Throws: `invalidArgument` if that is no such address.
  public init(_ address: String) throws {
    let scheme = address.firstRange(of: "://").map { String(address[..<$0.lowerBound]) }
    guard let scheme, ["etcd", "etcds"].contains(scheme) else {
      throw Self.unusable(address, "it begins with neither etcd:// nor etcds://")
    }
    isSecure = scheme == "etcds"
    var rest = address.dropFirst(scheme.count + 3)
    if rest.hasSuffix("/") { rest = rest.dropLast() }
    endpoints = try rest.split(separator: ",", omittingEmptySubsequences: false).map { part in
      let hasPort = part.last(where: { $0 == ":" || $0 == "]" }) == ":"
      let port = hasPort ? part.split(separator: ":").last.flatMap { Int($0) } : 2379
      let host = hasPort ? part.prefix { $0 != ":" || part.hasPrefix("[") } : part
      guard let port, (1...65_535).contains(port), !host.isEmpty,
        part.utf8.allSatisfy(Self.isHostByte)
      else { throw Self.unusable(address, "'\(part)' is no host and port") }
      return hasPort ? String(part) : "\(part):\(port)"
    }
    guard Set(endpoints).count == endpoints.count else {
      throw Self.unusable(address, "it names an endpoint twice")
    }
  }

  private static func unusable(_ address: String, _ reason: String) -> VecDBError {
    VecDBError(
      .invalidArgument, "this is no address of a coordinator: \(reason)", at: address,
      remedy: "Write etcd://host:port,host:port,host:port.")
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

  package var urls: [String] { endpoints.map { (isSecure ? "https://" : "http://") + $0 } }

  /// Throws what the certificates lack.
  package func validate() throws {
    guard (certificates.certificate == nil) == (certificates.key == nil) else {
      throw VecDBError(
        .invalidArgument, "a client's certificate and its key go together",
        remedy: "Give both or neither.")
    }
    let named = [certificates.authority, certificates.certificate].compactMap { $0 }
    guard isSecure || named.isEmpty else {
      throw VecDBError(
        .invalidArgument, "certificates are of use only with TLS", at: named[0],
        remedy: "Write etcds:// instead of etcd://.")
    }
  }
}
