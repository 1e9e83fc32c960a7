import VecDBBlockStore
import VecDBBytes
import VecDBFiles

/// A key that opens encrypted repositories. The product `VecDBEncryption` has such keys: files and
/// passphrases, for AES-256-GCM.
///
/// Each repository has its own data key, which never changes. The repository stores it only in
/// encrypted form, and this key opens that form. You can replace this key without rewriting any
/// block.
public protocol RepositoryKey: Sendable {
  /// For a new repository: a cipher with a new data key, and the bytes by which any program that
  /// has this key can open it again.
  func makeCipher() throws -> (keys: [UInt8], cipher: any BlockCipher)
  /// Opens the cipher of a repository. Throws `invalidArgument` if this is not the repository's
  /// key, `corrupt`, `unknownVersion`.
  func openCipher(keys: [UInt8], at place: String) throws -> any BlockCipher
  /// The bytes with which this key opens the same data key from now on. Throws the errors of
  /// `openCipher` of the old key.
  func rewrap(
    _ keys: [UInt8], openedBy old: any RepositoryKey, at place: String
  ) throws -> [UInt8]
}

/// Encrypts and authenticates the objects of a repository.
public protocol BlockCipher: Sendable {
  /// By how many bytes the encrypted form is longer.
  var overheadBytes: Int { get }
  /// Encrypts bytes so that `open` needs the same `context`.
  func seal(_ bytes: UnsafeRawBufferPointer, context: [UInt8]) throws -> [UInt8]
  /// Decrypts bytes; throws unless `seal` made them with the same key and context.
  func open(_ bytes: [UInt8], context: [UInt8]) throws -> [UInt8]
  /// A keyed, deterministic function from the 32 bytes of a block's hash to 32 other bytes.
  func name(of hash: [UInt8]) -> [UInt8]
}

/// A repository's key as the module of repositories takes it.
struct RepositoryEncryption: ObjectCipherSource {
  let key: any RepositoryKey

  init?(_ key: (any RepositoryKey)?) {
    guard let key else { return nil }
    self.key = key
  }

  func makeCipher() throws -> (keys: [UInt8], cipher: any ObjectCipher) {
    let (keys, cipher) = try Self.translating { try key.makeCipher() }
    return (keys, Cipher(cipher: cipher))
  }

  func openCipher(keys: [UInt8], at place: String) throws -> any ObjectCipher {
    Cipher(cipher: try Self.translating { try key.openCipher(keys: keys, at: place) })
  }

  private struct Cipher: ObjectCipher {
    let cipher: any BlockCipher

    var overheadBytes: Int { cipher.overheadBytes }

    func seal(_ bytes: UnsafeRawBufferPointer, as name: String) throws -> [UInt8] {
      try cipher.seal(bytes, context: Array(name.utf8))
    }

    func open(_ bytes: [UInt8], as name: String, at place: String) throws -> [UInt8] {
      do { return try cipher.open(bytes, context: Array(name.utf8)) } catch {
        throw StoreError(
          .corrupt, "cannot decrypt the object: it is damaged, or it belongs under another name",
          at: place,
          remedy: "Run `vecdb verify` on the repository to see all damage.")
      }
    }

    func name(of hash: Digest) -> Digest {
      let name = cipher.name(of: hash.bytes)
      precondition(name.count == Digest.sizeBytes, "a cipher's names have 32 bytes")
      return name.withUnsafeBytes { bytes in
        bytes.baseAddress.map { Digest(bytes: $0) } ?? .zero
      }
    }
  }

  /// Errors of the key in the words of this module's lower layers.
  private static func translating<Value>(_ body: () throws -> Value) throws -> Value {
    do { return try body() } catch let error as VecDBError {
      throw StoreError(
        StoreError.Kind(rawValue: error.code.rawValue) ?? .invalidArgument, error.message,
        at: error.location, remedy: error.remedy)
    }
  }
}
