package relay

import (
	"errors"
	"net/http"

	"github.com/kabar-io/kabar/internal/account"
	"github.com/kabar-io/kabar/internal/chat"
	"github.com/kabar-io/kabar/internal/status"
)

// The words of msg, which clients branch on.
const (
	msgOK           = "OK"
	msgError        = "ERROR"
	msgUnauthorized = "UNAUTHORIZED"
	msgTooMany      = "TO_MANY_REQUEST" // the real spelling
	msgNoRoute      = "NOT_FOUND"
	msgGone         = "GONE"

	msgAddress   = "AUTH_ERR_02" // of no use, or nobody asked for a code
	msgWrong     = "AUTH_ERR_04"
	msgExpired   = "AUTH_ERR_05"
	msgAuthLimit = "AUTH_RATE_LIMIT"

	msgNobody       = "FIND_NOTFOUND" // nobody there, or nobody whom one may reach: whoever is blocked is not told
	msgNoText       = "MSG_TEXT_REQUIRED"
	msgLongText     = "MSG_TEXT_LENGTH"
	msgEditDeleted  = "MSG_EDIT_DELETED"
	msgEditOther    = "MSG_EDIT_OTHER"
	msgEditExpired  = "CONTENT_EDIT_EXPIRED"
	msgKicked       = "GRP_KICKED" // not a member, or not any more
	msgNoGroup      = "GRPS_404"
	msgNoInvite     = "INV_NOT_FOUND_DESC"
	msgFull         = "GRPS_MEMBER_LIMIT"
	msgOwner        = "GRPS_OWNER_FEATURE"
	msgGroupName    = "GRPS_DNAME_LENGTH"
	msgNoPost       = "POSTS_NOT_FOUND"
	msgHandleFormat = "ACC_FAIL_UNAME_FORMAT"
	msgHandleTaken  = "ACC_FAIL_CLAIMED"
	msgNameLength   = "ACC_FAIL_DNAME_LENGTH"
	msgBioLength    = "ACC_FAIL_BIO_LENGTH"
)

// The words of frames that are refused for what they are.
const (
	msgNotJSON    = "NOT_JSON"
	msgBinary     = "BINARY"
	msgFields     = "FIELDS_LIMIT"
	msgRef        = "REF_INVALID"
	msgType       = "TYPE_REQUIRED"
	msgIdentifier = "IDENTIFIER_REQUIRED"
	msgReserved   = "TYPE_RESERVED"
	msgTo         = "TO_REQUIRED"
	msgPostID     = "POSTID_REQUIRED"
	msgNoCall     = "CALL_NOT_FOUND"
	msgCalls      = "CALL_LIMIT"
	msgOffline    = "CALL_OFFLINE"
)

// worded is an error in the dialect's own words.
type worded struct {
	code int
	msg  string
	data any // nil for none
}

func (w *worded) Error() string { return w.msg }

// words are the core's errors as this dialect says them.
var words = []struct {
	err  *status.Error
	code int
	msg  string
}{
	{account.ErrMailFailed, http.StatusBadRequest, msgError},
	{account.ErrUserNotFound, http.StatusNotFound, msgNobody},
	{chat.ErrNotFriends, http.StatusNotFound, msgNobody},
	{chat.ErrBlocked, http.StatusNotFound, msgNobody},
	{chat.ErrBlocking, http.StatusNotFound, msgNobody},
	{chat.ErrNoMessage, http.StatusNotFound, msgNobody},
	{chat.ErrNoRequest, http.StatusNotFound, msgNobody},
	{chat.ErrSelf, http.StatusBadRequest, msgError},
	{chat.ErrTextRequired, http.StatusBadRequest, msgNoText},
	{chat.ErrTextInvalid, http.StatusBadRequest, msgNoText},
	{chat.ErrTextTooLong, http.StatusBadRequest, msgLongText},
	{chat.ErrPayloadInvalid, http.StatusBadRequest, msgError},
	{chat.ErrEditDeleted, http.StatusNotFound, msgEditDeleted},
	{chat.ErrEditOther, http.StatusNotFound, msgEditOther},
	{chat.ErrEditExpired, http.StatusNotFound, msgEditExpired},
	{chat.ErrNoRoom, http.StatusNotFound, msgNoGroup},
	{chat.ErrNoInvite, http.StatusNotFound, msgNoInvite},
	{chat.ErrFull, http.StatusNotFound, msgFull},
	{chat.ErrNotOwner, http.StatusForbidden, msgOwner},
	{chat.ErrNotMember, http.StatusForbidden, msgKicked},
	{chat.ErrKicked, http.StatusForbidden, msgKicked},
	{chat.ErrNoPost, http.StatusNotFound, msgNoPost},
	{chat.ErrNoComment, http.StatusNotFound, msgNoPost},
	{chat.ErrNotAuthor, http.StatusNotFound, msgNoPost},
}

// inWords is an error as this dialect says it. What it has no word for keeps
// the core's.
func inWords(err error) *worded {
	var known *worded
	if errors.As(err, &known) {
		return known
	}
	for i := range words {
		if errors.Is(err, words[i].err) {
			return &worded{code: words[i].code, msg: words[i].msg}
		}
	}
	e := status.Of(err)
	w := &worded{code: e.HTTP(), msg: e.Reason}
	switch e.Code {
	case status.Internal:
		w.msg = msgError
	case status.Unauthenticated:
		w.msg = msgUnauthorized
	case status.TooMany:
		w.msg = msgTooMany
	case status.Gone:
		w.msg = msgGone
	default:
	}
	return w
}

// instead words one error of the core otherwise than elsewhere.
func instead(err error, of *status.Error, code int, msg string) error {
	if errors.Is(err, of) {
		return &worded{code: code, msg: msg}
	}
	return err
}

// insteadOf words all errors of a kind.
func insteadOf(err error, kind status.Code, msg string) error {
	if err == nil || isWorded(err) {
		return err
	}
	if e := status.Of(err); e.Code == kind {
		return &worded{code: e.HTTP(), msg: msg}
	}
	return err
}

func isWorded(err error) bool {
	var known *worded
	return errors.As(err, &known)
}
