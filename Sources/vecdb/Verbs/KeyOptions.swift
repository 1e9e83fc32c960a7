import ArgumentParser
import FoundationEssentials
import VecDB

#if Encryption
  import VecDBEncryption
#endif

/// How a verb is told the key of an encrypted repository.
struct KeyOptions: ParsableArguments {
  @Option(
    help: "The key file of an encrypted repository, made by vecdb key generate.",
    completion: .file())
  var keyFile: String?
  @Option(
    help: "A file whose first line is the passphrase of an encrypted repository.",
    completion: .file())
  var passphraseFile: String?

  func validate() throws {
    guard keyFile == nil || passphraseFile == nil else {
      throw ValidationError("Give one of --key-file and --passphrase-file.")
    }
  }

  /// Nil if none was given.
  func key() throws -> (any RepositoryKey)? {
    try KeyOptions.key(file: keyFile, passphraseFile: passphraseFile)
  }

  static func key(file: String?, passphraseFile: String?) throws -> (any RepositoryKey)? {
    guard file != nil || passphraseFile != nil else { return nil }
    #if Encryption
      if let file { return try KeyFile(path: file) }
      if let passphraseFile { return try Passphrase(text: firstLine(of: passphraseFile)) }
      return nil
    #else
      throw UsageError(
        message: "this vecdb was built without encryption",
        remedy: "Build it with: swift build -c release --traits Encryption")
    #endif
  }

  private static func firstLine(of path: String) throws -> String {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw VecDBError(.notFound, "the passphrase file cannot be read", at: path)
    }
    let line = data.prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
    guard let text = String(data: line, encoding: .utf8), !text.isEmpty else {
      throw VecDBError(
        .invalidArgument, "the first line of the passphrase file is empty or not UTF-8", at: path)
    }
    return text
  }
}
