#if Encryption
  import Crypto
  import FoundationEssentials
  import Glibc
  import VecDB

  /// A key in a file: 256 random bits as 64 hexadecimal digits and a line feed.
  ///
  /// ```swift
  /// var configuration = DatabaseConfiguration()
  /// configuration.repositoryKey = try KeyFile(path: "/etc/photos/backup.key")
  /// let database = try await Database.open(at: "photos.vecdb", configuration: configuration)
  /// try await database.backup(to: "/backup/photos")
  /// ```
  public struct KeyFile: RepositoryKey, WrappingKey {
    private let secret: SymmetricKey
    private static let secretBytes = 32

    /// Reads a key file.
    ///
    /// - Throws: `notFound`; `invalidArgument` if it is no key file, or if everybody may read it.
    public init(path: String) throws {
      guard let data = FileManager.default.contents(atPath: path) else {
        throw VecDBError(
          .notFound, "cannot read the key file", at: path,
          remedy: "Check the path; `vecdb key generate` makes a key file.")
      }
      var bytes: [UInt8] = []
      var digits = data[...]
      if digits.last == UInt8(ascii: "\n") { digits.removeLast() }
      var high: UInt8?
      for digit in digits {
        guard let value = Character(UnicodeScalar(digit)).hexDigitValue else {
          throw Self.malformed(path)
        }
        if let first = high {
          bytes.append(first << 4 | UInt8(value))
          high = nil
        } else {
          high = UInt8(value)
        }
      }
      guard bytes.count == Self.secretBytes, high == nil else { throw Self.malformed(path) }
      try Self.requireSecret(path)
      secret = SymmetricKey(data: bytes)
    }

    private static func requireSecret(_ path: String) throws {
      var found = stat()
      guard stat(path, &found) == 0, found.st_mode & S_IROTH != 0 else { return }
      throw VecDBError(
        .invalidArgument, "every user of this machine may read the key file", at: path,
        remedy: "Run `chmod 600` on it. If others may have read it, change the repository's key.")
    }

    private static func malformed(_ path: String) -> VecDBError {
      VecDBError(
        .invalidArgument, "the file is not a key file: it must hold 64 hexadecimal digits",
        at: path, remedy: "Make one with `vecdb key generate`.")
    }

    /// Makes a new key file that only this user can read.
    ///
    /// - Throws: `alreadyExists`; `inputOutput`.
    public static func generate(at path: String) throws {
      let digits = SymmetricKey(size: .bits256).withUnsafeBytes { bytes in
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
      }
      let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
      guard descriptor >= 0 else {
        throw VecDBError(
          errno == EEXIST ? .alreadyExists : .inputOutput,
          "cannot create the key file: \(String(cString: strerror(errno)))", at: path,
          remedy: "Choose another name; vecdb never overwrites a key file.")
      }
      defer { close(descriptor) }
      let bytes = Array(digits.utf8) + [10]
      guard bytes.withUnsafeBytes({ write(descriptor, $0.baseAddress, $0.count) }) == bytes.count,
        fsync(descriptor) == 0
      else {
        throw VecDBError(.inputOutput, "cannot write the key file", at: path)
      }
    }

    func newWrapping() throws -> (WrappedDataKey, SymmetricKey) {
      let wrapped = WrappedDataKey(kind: .keyFile)
      return (wrapped, derive(salt: wrapped.salt))
    }

    func key(for wrapped: WrappedDataKey, at place: String) throws -> SymmetricKey {
      guard wrapped.kind == .keyFile else {
        throw VecDBError(
          .invalidArgument, "the repository needs a passphrase, but you gave a key file",
          at: place, remedy: "Give the passphrase.")
      }
      return derive(salt: wrapped.salt)
    }

    private func derive(salt: [UInt8]) -> SymmetricKey {
      HKDF<SHA256>.deriveKey(
        inputKeyMaterial: secret, salt: salt, info: Array("vecdb key file 1".utf8),
        outputByteCount: 32)
    }
  }
#endif
