import VecDBFiles

/// Where a repository is in an object store:
/// `s3://bucket/prefix?region=…&endpoint=…&style=path|virtual&profile=…`.
package struct S3Address: Sendable, Hashable {
  package enum Style: String, Sendable, Hashable {
    /// The bucket is a part of the path.
    case path
    /// The bucket is a part of the host's name.
    case virtual
  }

  package var bucket: String
  /// Without slashes at its ends; may be empty.
  package var prefix: String
  package var region: String?
  package var endpoint: HTTPEndpoint?
  package var style: Style?
  package var profile: String?

  package init(
    bucket: String, prefix: String, region: String? = nil, endpoint: HTTPEndpoint? = nil,
    style: Style? = nil, profile: String? = nil
  ) throws {
    self.bucket = bucket
    self.prefix = prefix
    self.region = region
    self.endpoint = endpoint
    self.style = style
    self.profile = profile
    try check()
  }

  /// Throws `.invalidArgument`.
  package init(_ text: String) throws {
    func wrong(_ what: String) -> StoreError {
      StoreError(
        .invalidArgument, what, at: text,
        remedy: "Write s3://bucket/prefix?region=…&endpoint=https://…&style=path.")
    }
    guard text.hasPrefix("s3://") else { throw wrong("the address does not begin with s3://") }
    let parts = text.dropFirst(5).split(
      separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    let place = parts[0].split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    bucket = String(place[0])
    guard let decoded = URLEncoding.decode(place.count > 1 ? place[1] : "") else {
      throw wrong("the prefix is not percent-encoded UTF-8")
    }
    var trimmed = decoded[...]
    while trimmed.last == "/" { trimmed.removeLast() }
    prefix = String(trimmed)
    for item in parts.count > 1 ? parts[1].split(separator: "&") : [] {
      let pair = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard pair.count == 2, let value = URLEncoding.decode(pair[1]), !value.isEmpty else {
        throw wrong("'\(item)' is no option of an address")
      }
      switch pair[0] {
      case "region": region = value
      case "profile": profile = value
      case "endpoint":
        guard let found = HTTPEndpoint(value) else {
          throw wrong("the endpoint '\(value)' is no address of a host")
        }
        endpoint = found
      case "style":
        guard let found = Style(rawValue: value) else {
          throw wrong("the style '\(value)' is neither path nor virtual")
        }
        style = found
      default: throw wrong("an address has no option '\(pair[0])'")
      }
    }
    try check()
  }

  private func check() throws {
    func wrong(_ what: String) -> StoreError {
      StoreError(
        .invalidArgument, what, at: text,
        remedy: "Write s3://bucket/prefix, such as s3://backups/photos."
      )
    }
    let letters = bucket.utf8.allSatisfy {
      switch $0 {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
        UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"),
        UInt8(ascii: "A")...UInt8(ascii: "Z"):
        true
      default: false
      }
    }
    guard letters, (3...255).contains(bucket.utf8.count), !bucket.contains("..") else {
      throw wrong("'\(bucket)' cannot be the name of a bucket")
    }
    guard prefix.utf8.count <= 512,
      prefix.isEmpty
        || prefix.split(separator: "/", omittingEmptySubsequences: false).allSatisfy({
          !$0.isEmpty && $0 != "." && $0 != ".."
        })
    else { throw wrong("the prefix '\(prefix)' has an empty part, or one of dots") }
    let isPlain = region?.utf8.allSatisfy { byte in
      byte == UInt8(ascii: "-") || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
        || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
    guard isPlain ?? true else { throw wrong("'\(region ?? "")' cannot be a region") }
  }

  /// The address as a text; it holds no secrets.
  package var text: String {
    var options: [(name: String, value: String)] = []
    if let region { options.append(("region", region)) }
    if let endpoint { options.append(("endpoint", endpoint.url)) }
    if let style { options.append(("style", style.rawValue)) }
    if let profile { options.append(("profile", profile)) }
    let slashColon = Set("/:".utf8)
    let query = options.map { $0.name + "=" + URLEncoding.encode($0.value, keeping: slashColon) }
    return "s3://" + bucket + (prefix.isEmpty ? "" : "/" + URLEncoding.path(prefix))
      + (query.isEmpty ? "" : "?" + query.joined(separator: "&"))
  }

  /// As messages name it.
  package var location: String { "s3://" + bucket + (prefix.isEmpty ? "" : "/" + prefix) }
}
