import VecDBBytes
import VecDBFiles

/// Where a repository is: a directory, or an address such as `s3://bucket/prefix` of a kind of store
/// that the program has.
package struct RepositoryPlace: Sendable {
  enum Kind: Sendable {
    case directory(any FileSystem)
    case bucket(BucketStore)
  }

  package let address: String
  let kind: Kind

  /// Throws `.invalidArgument` for an address that is wrong, or of a kind that the program lacks.
  package init(_ address: String, fileSystem: any FileSystem) throws {
    self.address = address
    guard let scheme = Self.scheme(of: address) else {
      kind = .directory(fileSystem)
      return
    }
    kind = .bucket(BucketStore(try BucketKinds.bucket(scheme: scheme, address: address)))
  }

  package var isRemote: Bool {
    if case .bucket = kind { return true }
    return false
  }

  /// Whether there is a repository.
  package func hasRepository() throws -> Bool {
    switch kind {
    case .directory(let fileSystem):
      try fileSystem.exists(address + "/" + RepositoryMarker.name)
    case .bucket(let store): try store.info(RepositoryMarker.name) != nil
    }
  }

  /// The store, without a look at what is in it.
  package var store: any ObjectStore {
    switch kind {
    case .directory(let fileSystem): DirectoryStore(address, fileSystem: fileSystem)
    case .bucket(let store): store
    }
  }

  /// Whether this is the address of a bucket rather than a path.
  package static func isRemote(_ address: String) -> Bool { scheme(of: address) != nil }

  /// The letters before `://`; nil for a path.
  private static func scheme(of address: String) -> String? {
    let scheme = address.prefix { $0 != ":" }
    guard !scheme.isEmpty, scheme.utf8.allSatisfy(Self.isSchemeByte),
      address.dropFirst(scheme.count).hasPrefix("://")
    else { return nil }
    return String(scheme)
  }

  private static func isSchemeByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: false
    }
  }
}

/// The kinds of buckets that the program has, by the scheme of their addresses. A module that brings
/// one adds it.
package enum BucketKinds {
  package typealias Maker = @Sendable (String) throws -> any Bucket

  private static let makers = Guarded<[String: Maker]>([:])

  package static func add(scheme: String, _ maker: @escaping Maker) {
    makers.withLock { $0[scheme] = maker }
  }

  static func bucket(scheme: String, address: String) throws -> any Bucket {
    guard let maker = makers.withLock({ $0[scheme] }) else {
      throw StoreError(
        .invalidArgument, "this program has no repositories of the kind \(scheme)://", at: address,
        remedy: scheme == "s3"
          ? "Build vecdb with: swift build -c release --traits S3. A program calls Repository.s3 of "
            + "VecDBObjectStore."
          : "Name a directory, or s3://bucket/prefix.")
    }
    return try maker(address)
  }
}
