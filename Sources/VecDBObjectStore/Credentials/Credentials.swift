/// What signs requests. Nothing prints its secrets: not a description, not a mirror.
public struct Credentials: Sendable, CustomStringConvertible, CustomDebugStringConvertible,
  CustomReflectable
{
  package let accessKeyID: String
  package let secretKey: String
  package let sessionToken: String?
  /// When they end; nil if they do not.
  package let expiresMilliseconds: Int64?

  /// - Parameter sessionToken: of credentials that end; nil for others.
  public init(accessKeyID: String, secretKey: String, sessionToken: String? = nil) {
    self.init(
      accessKeyID: accessKeyID, secretKey: secretKey, sessionToken: sessionToken,
      expiresMilliseconds: nil)
  }

  package init(
    accessKeyID: String, secretKey: String, sessionToken: String?, expiresMilliseconds: Int64?
  ) {
    self.accessKeyID = accessKeyID
    self.secretKey = secretKey
    self.sessionToken = sessionToken
    self.expiresMilliseconds = expiresMilliseconds
  }

  public var description: String { "credentials \(accessKeyID.prefix(4))…" }
  public var debugDescription: String { description }
  public var customMirror: Mirror { Mirror(self, children: []) }
}
